"""The API's endpoints about apps: from a configuration to a run that is looked after."""

from __future__ import annotations

import uuid

from chalicelib.aws.services import Services
from chalicelib.core.api.answers import ConfigAnswer
from chalicelib.core.api.asks import ConfigAsk
from chalicelib.core.api.request import Answer, Checked
from chalicelib.core.config import ParsedConfig, parse_config, parse_keys
from chalicelib.core.run import RunRecord
from chalicelib.errors import NotFoundError
from chalicelib.operations import control, submissions
from chalicelib.operations.job_config import of_app
from chalicelib.operations.run_view import show_record
from chalicelib.operations.setup import set_up


def validate_config(_services: Services, request: Checked) -> Answer:
    parsed = _parsed(request.body)
    assert parsed is not None
    return Answer.of(
        ConfigAnswer(
            app=parsed.config.app_name, config=parsed.config.to_keys(), warnings=parsed.warnings
        )
    )


def set_up_app(services: Services, request: Checked) -> Answer:
    app, body = request.path["app"], request.body
    parsed = of_app(services, app, _parsed(body, app))
    return _run(services, set_up(services, parsed, fleet_file=body.fleet, adopt=body.adopt), 200)


def submit_jobs(services: Services, request: Checked) -> Answer:
    token = request.token or uuid.uuid4().hex
    found = submissions.take(
        services,
        request.path["app"],
        request.raw,
        name=request.query.name,
        start=request.query.start,
        token=token,
    )
    return Answer.of(found, 201 if found.state == "closed" else 202)


def show_submission(services: Services, request: Checked) -> Answer:
    path = request.path
    return Answer.of(submissions.show(services, path["app"], path["submission"]))


def offer_upload(services: Services, request: Checked) -> Answer:
    found = submissions.offer_upload(services, request.path["app"], request.body.name)
    return Answer.of(found, 201)


def show_refusal(services: Services, request: Checked) -> Answer:
    return Answer.of(submissions.show_refusal(services, **request.path))


def start_machines(services: Services, request: Checked) -> Answer:
    app = request.path["app"]
    control.start(services, app, request.body.fleet)
    return _run(services, control.live_run(services, app))


def stop_run(services: Services, request: Checked) -> Answer:
    record = control.stop(services, request.path["app"])
    if record is None:
        raise NotFoundError(f"the app {request.path['app']} has no run: nothing was made yet")
    return _run(services, record)


def scale_run(services: Services, request: Checked) -> Answer:
    return _run(services, control.scale(services, request.path["app"], request.body.machines))


def watch_run(services: Services, request: Checked) -> Answer:
    cheapest = request.body.cheapest
    return _run(services, control.watch(services, request.path["app"], cheapest=cheapest))


def _run(services: Services, record: RunRecord, status: int = 202) -> Answer:
    return Answer.of(show_record(services, record), status)


def _parsed(body: ConfigAsk, app: str = "") -> ParsedConfig | None:
    if body.source is not None:
        return parse_config(body.source, f"source.{body.form}")
    if body.config is not None:
        return parse_keys({**({"APP_NAME": app} if app else {}), **body.config}, "config")
    return None
