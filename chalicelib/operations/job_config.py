"""Which configuration a job file is run by."""

from __future__ import annotations

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.config import ParsedConfig, parse_config, parse_keys, recorded_config
from chalicelib.core.jobfile import JobFileHeader
from chalicelib.core.run import RunRecord
from chalicelib.core.upload import Upload
from chalicelib.errors import ConfigError, JobFileError, NotFoundError, Problem


def config_of(
    services: Services, upload: Upload, header: JobFileHeader, live: RunRecord | None
) -> ParsedConfig:
    """The job file's own configuration, the live run's, or the one set-up saved last.

    Raises ConfigError and JobFileError.
    """
    app, key = upload.app, upload.key
    if header.config is not None:
        parsed = parse_keys({"APP_NAME": app, **header.config}, f"{key}, config")
        if parsed.config.app_name != app:
            raise JobFileError(key, [_other_app(parsed.config.app_name, upload)])
        return parsed
    if live is not None:
        return ParsedConfig(config=recorded_config(live), warnings=())
    saved = services.store.read(keys.app_config(app))
    if saved is None:
        raise JobFileError(
            key,
            [
                Problem(
                    where="config",
                    expected=f"a configuration for the app {app!r}: none was ever set up",
                    hint='run "python run.py setup", or put "config": {…} into the job file',
                )
            ],
        )
    return parse_config(saved.body.decode(), keys.app_config(app))


def _other_app(found: str, upload: Upload) -> Problem:
    whose = (
        f"as when the run {upload.follows} was accepted"
        if upload.follows
        else "the app whose folder the job file was put in"
    )
    return Problem(where="config.APP_NAME", found=repr(found), expected=f"{upload.app!r}, {whose}")


def of_app(services: Services, app: str, given: ParsedConfig | None) -> ParsedConfig:
    """The configuration to set an app up with: the one given, or the one set up last.

    Raises ConfigError when it is another app's, and NotFoundError when there is none.
    """
    if given is None:
        saved = services.store.read(keys.app_config(app))
        if saved is None:
            raise NotFoundError(f"the app {app} was never set up: give its configuration")
        return parse_config(saved.body.decode(), keys.app_config(app))
    if given.config.app_name != app:
        problem = Problem(
            where="APP_NAME",
            found=repr(given.config.app_name),
            expected=f"must be {app!r}, the app that is asked for",
        )
        raise ConfigError("config", [problem])
    return given
