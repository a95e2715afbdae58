"""One process's work on a submission: look, check, register, send, close."""

from __future__ import annotations

from datetime import timedelta

from aws_lambda_powertools import Logger

from chalicelib.aws.errors import AwsError
from chalicelib.aws.lease import Held
from chalicelib.aws.log import also
from chalicelib.aws.send import send_jobs
from chalicelib.aws.services import Services
from chalicelib.aws.store import ObjectReader, ObjectVersion, head
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.config import ParsedConfig, parse_config, parse_keys
from chalicelib.core.jobfile import JobFileHeader, check, iter_jobs, read_header
from chalicelib.core.run import STOPPED, Phase, RunRecord, Submission
from chalicelib.errors import (
    CellFleetError,
    ConflictError,
    JobFileError,
    NotFoundError,
    NotReadyError,
    Problem,
)
from chalicelib.operations.setup import converge, set_up
from chalicelib.operations.tick import tick_run
from chalicelib.operations.upload import Outcome, Upload

log = Logger(service="cellfleet", child=True)

#: How often the lease is renewed while a large file is checked.
RENEW = timedelta(seconds=20)


class SupersededError(CellFleetError):
    """The object under the key isn't the one that this submission is about."""


class Work:
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
        self.cut_short(error)
        self.held.release(claim.model_copy(update={"state": "closed"}))
        return Outcome(
            state="over", submission=upload.submission, run_id=claim.run_id, messages=(str(error),)
        )

    def cut_short(self, error: CellFleetError) -> None:
        """The rest will never be sent: let the run end with what was."""
        upload, claim = self.upload, self.held.value

        def change(record: RunRecord) -> RunRecord | None:
            mine = record.submissions.get(upload.submission)
            if mine is None or mine.closed or record.phase is Phase.FINISHED:
                return None
            mine = mine.model_copy(update={"jobs": claim.sent, "closed": True})
            told = f"{error}: {claim.sent} of its {claim.jobs} jobs had been sent"
            return record.model_copy(
                update={"submissions": {**record.submissions, upload.submission: mine}}
            ).with_note(told)

        if claim.run_id:
            self.services.runs.change(claim.run_id, change)

    def _wake(self, run_id: str) -> None:
        """Request machines now, so that they boot while the messages are sent."""
        try:
            tick_run(self.services, run_id)
        except (*AwsError, CellFleetError):
            log.exception("machines can't be requested yet")

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
        elif not (live.queue_url and live.task_definition):
            record = converge(self.services, live)  # its set-up died half-way
        else:
            record = live
        also(run_id=record.run_id)
        claim = self.held.value
        if claim.run_id and claim.run_id != record.run_id:
            # The run that it was sent to is over: begin anew.
            claim = claim.model_copy(update={"cursor": 0, "sent": 0})
        self.held.save(claim.model_copy(update={"run_id": record.run_id, "state": "working"}))
        return self._register(record.run_id, claim.jobs, header.output)

    def _register(self, run_id: str, jobs: int, output: str) -> RunRecord:
        upload = self.upload

        def add(record: RunRecord) -> RunRecord:
            if not record.accepts:
                raise NotReadyError(f"the run {run_id} is ending; a new one takes this job file")
            known = record.submissions.get(upload.submission)
            source = f"s3://{upload.bucket}/{upload.key}"
            fresh = Submission(source=source, jobs=jobs, output=output)
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
            extra={"jobs": claim.jobs, "duplicates": claim.duplicates},
        )
        return Outcome(
            state="closed",
            submission=upload.submission,
            run_id=record.run_id,
            jobs=claim.jobs,
            duplicates=claim.duplicates,
            messages=warnings,
        )
