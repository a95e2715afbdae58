"""A submission: one version of one job file, from its claim to its last message.

The claim is a lease with a cursor, so that an event may arrive twice, late, or in the middle of
another's work, and a process may die anywhere: whoever takes the lease next goes on at the
cursor. Messages sent after the last cursor are sent again; workers publish each job once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict

from chalicelib.aws import lease
from chalicelib.aws.errors import AwsError
from chalicelib.aws.lease import Held
from chalicelib.aws.send import send_jobs
from chalicelib.aws.services import Services
from chalicelib.aws.store import ObjectReader, ObjectVersion, head
from chalicelib.contract import submission_id
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.config import ParsedConfig, parse_config, parse_keys
from chalicelib.core.jobfile import JobFileHeader, check, iter_jobs, read_header
from chalicelib.core.refusal import refusal
from chalicelib.core.run import STOPPED, Phase, RunRecord, Submission
from chalicelib.errors import (
    CellFleetError,
    ConflictError,
    DeadlineError,
    InputError,
    JobFileError,
    NotFoundError,
    NotReadyError,
    Problem,
)
from chalicelib.operations.setup import converge, set_up
from chalicelib.operations.tick import tick_run

log = Logger(service="cellfleet", child=True)

#: How often the lease is renewed while a large file is checked.
RENEW = timedelta(seconds=20)


class Upload(BaseModel):
    """A job file in a bucket. `version` tells uploads of one key apart: S3's version id, or
    the event's sequencer where the bucket keeps no versions. `start`: machines are wanted too."""

    model_config = ConfigDict(frozen=True)

    app: str
    name: str
    bucket: str
    key: str
    version: str = ""
    sequencer: str = ""
    #: Of the bytes that were uploaded, as the event tells it; "" if it doesn't.
    etag: str = ""
    start: bool = True

    @property
    def submission(self) -> str:
        return submission_id(self.bucket, self.key, self.version or self.sequencer)


class SupersededError(CellFleetError):
    """The object under the key isn't the one that this submission is about."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a submission, now.

    `held`: another process is at work on it. `over`: it was closed or refused before.
    `waiting`: an earlier run must end first; a tick goes on by itself.
    """

    state: Literal["closed", "refused", "waiting", "held", "over"]
    submission: str
    run_id: str = ""
    jobs: int = 0
    duplicates: int = 0
    messages: tuple[str, ...] = ()


def submit(services: Services, upload: Upload) -> Outcome:
    """Take a job file through to its last message, or as far as time and leases allow.

    Raises DeadlineError when time is up, LeaseLostError when another process took over, and
    AWS's own errors; each time a tick, or the event's next delivery, goes on.
    """
    name = upload.submission
    marker = keys.pending(upload.app, name)
    fresh = Claim(
        owner=services.owner,
        expires_at=services.now(),
        bucket=upload.bucket,
        key=upload.key,
        etag=upload.etag,
    )
    # The mark first: a submission that was begun can always be found and resumed.
    services.store.put(marker, upload.model_dump_json().encode())
    held, found = lease.take(services.store, keys.claim(upload.app, name), fresh, services.now)
    if found.over:
        if held is not None:
            held.release(found)
        services.store.delete(marker)
        return Outcome(state="over", submission=name, run_id=found.run_id)
    if held is None:
        return Outcome(state="held", submission=name)
    work = _Work(services, upload, held)
    try:
        outcome = work.already_closed() or work.go()
    except SupersededError as error:
        outcome = work.give_way(error)
    except (InputError, ConflictError, NotFoundError) as error:
        outcome = _refuse(services, upload, held, error)
    except NotReadyError as error:
        log.info("submission waits", extra={"submission": name, "reason": str(error)})
        held.release(held.value.model_copy(update={"state": "waiting"}))
        return Outcome(state="waiting", submission=name, messages=(str(error),))
    except DeadlineError:
        held.release(held.value)
        raise
    services.store.delete(marker)
    return outcome


def _refuse(
    services: Services, upload: Upload, held: Held[Claim], error: CellFleetError
) -> Outcome:
    """Say why, where the user looks for it, and in the log."""
    body = refusal(error, key=upload.key, now=services.now())
    services.store.put(keys.refusal(upload.app, upload.name), body)
    log.warning("job file refused", extra={"key": upload.key, "reason": str(error)})
    held.release(held.value.model_copy(update={"state": "refused"}))
    return Outcome(state="refused", submission=upload.submission, messages=(str(error),))


class _Work:
    """One process's work on a submission that it holds."""

    def __init__(self, services: Services, upload: Upload, held: Held[Claim]):
        self.services = services
        self.upload = upload
        self.held = held

    def already_closed(self) -> Outcome | None:
        """Every message was sent, and whoever sent them died before closing the claim."""
        claim = self.held.value
        record = self._run_of_claim()
        known = record.submissions.get(self.upload.submission) if record else None
        if known is None or not known.closed:
            return None
        self.held.release(claim.model_copy(update={"state": "closed"}))
        return Outcome(state="over", submission=self.upload.submission, run_id=claim.run_id)

    def go(self) -> Outcome:
        self._not_stopped()
        reader = ObjectReader(self.services.clients.s3, self._version())
        header = read_header(reader, self.upload.key)
        live = self._live_run()
        if live is not None and not live.accepts:
            raise NotReadyError(f"the run {live.run_id} is ending; a new one takes this job file")
        parsed = self._config(header, live)
        warnings = parsed.warnings
        if not self.held.value.jobs:
            warnings += self._check(reader, parsed)
        record = self._run(header, live, parsed)
        if record.start:
            self._wake(record.run_id)
        send_jobs(
            self.services,
            self.held,
            iter_jobs(
                reader,
                header,
                run=record.run_id,
                submission=self.upload.submission,
                start=self.held.value.cursor,
            ),
            header,
            submission=self.upload.submission,
            queue_url=record.queue_url,
        )
        return self._close(record, warnings)

    def _check(self, reader: ObjectReader, parsed: ParsedConfig) -> tuple[str, ...]:
        """Check the whole file; its jobs are counted in the claim, so that it is checked once."""
        job_file = check(
            reader,
            self.upload.key,
            check_if_done=parsed.config.check_if_done_bool,
            on_progress=self._still_here,
        )
        counted = {"jobs": job_file.jobs, "duplicates": job_file.duplicates}
        self.held.save(self.held.value.model_copy(update=counted))
        return job_file.warnings

    def give_way(self, error: SupersededError) -> Outcome:
        """The file was replaced under its key, in a bucket that keeps no versions. The new one has
        its own submission; of the old one, what was sent counts."""
        upload, claim = self.upload, self.held.value
        log.warning("job file replaced", extra={"key": upload.key, "reason": str(error)})
        if claim.run_id:

            def cut_short(record: RunRecord) -> RunRecord | None:
                mine = record.submissions.get(upload.submission)
                if mine is None:
                    return None
                mine = mine.model_copy(update={"jobs": claim.sent, "closed": True})
                mended = {**record.submissions, upload.submission: mine}
                told = f"{error}: {claim.sent} of its {claim.jobs} jobs had been sent"
                return record.model_copy(update={"submissions": mended}).with_note(told)

            self.services.runs.change(claim.run_id, cut_short)
        self.held.release(claim.model_copy(update={"state": "closed"}))
        return Outcome(
            state="over", submission=upload.submission, run_id=claim.run_id, messages=(str(error),)
        )

    def _wake(self, run_id: str) -> None:
        """Request machines now, so that they boot while the messages are sent."""
        try:
            tick_run(self.services, run_id)
        except (*AwsError, CellFleetError):
            log.exception("machines can't be requested yet", extra={"run_id": run_id})

    def _run_of_claim(self) -> RunRecord | None:
        run_id = self.held.value.run_id
        return self.services.runs.load(run_id) if run_id else None

    def _not_stopped(self) -> None:
        """Whoever stopped the run didn't mean to see it start again."""
        for record in (self._run_of_claim(), self.services.runs.latest(self.upload.app)):
            if (
                record is not None
                and record.outcome == STOPPED
                and self.upload.submission in record.submissions
            ):
                raise ConflictError(
                    f"the run {record.run_id} was stopped while this job file was being sent"
                )

    def _version(self) -> ObjectVersion:
        """The bytes that were uploaded, the same at every resumption. Raises SupersededError."""
        upload, claim = self.upload, self.held.value
        version = head(self.services.clients.s3, upload.bucket, upload.key, version=upload.version)
        if version is None:
            raise NotFoundError(f"s3://{upload.bucket}/{upload.key} is gone")
        found = version.etag.strip('"')
        if claim.etag and claim.etag != found:
            raise SupersededError(f"{upload.key} was replaced by another upload")
        if not claim.etag:
            self.held.save(claim.model_copy(update={"etag": found}))
        return version

    def _live_run(self) -> RunRecord | None:
        record = self.services.runs.latest(self.upload.app)
        return record if record is not None and record.phase is not Phase.FINISHED else None

    def _config(self, header: JobFileHeader, live: RunRecord | None) -> ParsedConfig:
        """The job file's own configuration, the live run's, or the one set-up saved last."""
        app, key = self.upload.app, self.upload.key
        if header.config is not None:
            parsed = parse_keys({"APP_NAME": app, **header.config}, f"{key}, config")
            if parsed.config.app_name != app:
                raise JobFileError(
                    key,
                    [
                        Problem(
                            where="config.APP_NAME",
                            found=repr(parsed.config.app_name),
                            expected=f"{app!r}, the app whose folder the job file was put in",
                        )
                    ],
                )
            return parsed
        if live is not None:
            return ParsedConfig(config=parse_keys(live.config, key).config, warnings=())
        saved = self.services.store.read(keys.app_config(app))
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

    def _still_here(self, _groups: int) -> None:
        self.services.check_deadline()
        if self.services.now() - self.held.saved_at > RENEW:
            self.held.save(self.held.value)

    def _run(
        self, header: JobFileHeader, live: RunRecord | None, parsed: ParsedConfig
    ) -> RunRecord:
        """The run that takes the jobs: set up, and with this submission registered."""
        if live is None or header.config is not None or header.fleet is not None:
            record = set_up(self.services, parsed, fleet_file=header.fleet)
        else:
            # Its set-up may have died half-way.
            record = converge(self.services, live)
        claim = self.held.value
        if claim.run_id and claim.run_id != record.run_id:
            # The run that it was sent to is over: begin anew.
            claim = claim.model_copy(update={"cursor": 0, "sent": 0})
        self.held.save(claim.model_copy(update={"run_id": record.run_id, "state": "working"}))
        return self._register(record.run_id, claim.jobs)

    def _register(self, run_id: str, jobs: int) -> RunRecord:
        upload = self.upload

        def add(record: RunRecord) -> RunRecord:
            if not record.accepts:
                raise NotReadyError(f"the run {run_id} is ending; a new one takes this job file")
            known = record.submissions.get(upload.submission)
            fresh = Submission(source=f"s3://{upload.bucket}/{upload.key}", jobs=jobs)
            return record.model_copy(
                update={
                    "phase": Phase.OPEN,
                    "outcome": "",
                    "start": record.start or upload.start,
                    "submissions": {**record.submissions, upload.submission: known or fresh},
                    # What is lost of this one may be sent again, whatever was lost before.
                    "resent": record.resent if known else 0,
                }
            )

        return self.services.runs.change(run_id, add)

    def _close(self, record: RunRecord, warnings: tuple[str, ...]) -> Outcome:
        upload, claim = self.upload, self.held.value

        def close(found: RunRecord) -> RunRecord:
            mine = found.submissions[upload.submission].model_copy(update={"closed": True})
            return found.model_copy(
                update={"submissions": {**found.submissions, upload.submission: mine}}
            )

        self.services.runs.change(record.run_id, close)
        self.services.store.delete(keys.refusal(upload.app, upload.name))
        self.held.release(claim.model_copy(update={"state": "closed"}))
        log.info(
            "submission closed",
            extra={"run_id": record.run_id, "jobs": claim.jobs, "duplicates": claim.duplicates},
        )
        return Outcome(
            state="closed",
            submission=upload.submission,
            run_id=record.run_id,
            jobs=claim.jobs,
            duplicates=claim.duplicates,
            messages=warnings,
        )
