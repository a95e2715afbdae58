"""One process's work on a submission: look, check, register, send, close."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger

from chalicelib.aws.errors import AwsError
from chalicelib.aws.lease import Held
from chalicelib.aws.log import also
from chalicelib.aws.send import send_jobs
from chalicelib.aws.services import Services
from chalicelib.aws.store import ObjectReader, ObjectVersion, head
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.config import ParsedConfig
from chalicelib.core.jobfile import JobFileHeader, check, iter_jobs, read_header
from chalicelib.core.run import STOPPED, Phase, RunRecord, Submission
from chalicelib.errors import (
    CellFleetError,
    ConflictError,
    NotFoundError,
    NotReadyError,
)
from chalicelib.operations.job_config import config_of
from chalicelib.operations.next_step import follow
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
        parsed = config_of(self.services, self.upload, header, live)
        warnings = parsed.warnings
        if not self.held.value.jobs:
            warnings += self._check(reader, header, parsed)
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

    def _check(
        self, reader: ObjectReader, header: JobFileHeader, parsed: ParsedConfig
    ) -> tuple[str, ...]:
        """Check the whole file, and what is to follow it; its jobs are counted in the claim, so
        that it is checked once."""
        job_file = check(
            reader,
            self.upload.key,
            check_if_done=parsed.config.check_if_done_bool,
            on_progress=self._still_here,
        )
        then = follow(
            self.services,
            self.upload,
            header,
            parsed,
            jobs=job_file.jobs,
            on_progress=self._still_here,
        )
        found = {"jobs": job_file.jobs, "duplicates": job_file.duplicates, "then": then}
        self.held.save(self.held.value.model_copy(update=found))
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
            told = f"{error}: {claim.sent} of its {claim.jobs} jobs had been sent"
            if mine.then is not None:
                told += f", and {mine.then.key} doesn't follow"
            mine = mine.model_copy(update={"jobs": claim.sent, "closed": True, "then": None})
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
        """Whoever stopped the run didn't mean to see it start again, or go on with a next step."""
        follows = self.upload.follows
        if follows and not self.held.value.run_id and self.services.runs.load(follows).halted:
            raise ConflictError(f"the run {follows}, which it was to follow, was stopped")
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
        wanted = upload.version or claim.version_id
        version = head(self.services.clients.s3, upload.bucket, upload.key, version=wanted)
        if version is None:
            raise NotFoundError(f"s3://{upload.bucket}/{upload.key} is gone")
        found = version.etag.strip('"')
        if claim.etag and claim.etag != found:
            raise SupersededError(f"{upload.key} was replaced by another upload")
        if not claim.etag:
            kept = version.version if version.version != "null" else ""
            self.held.save(claim.model_copy(update={"etag": found, "version_id": kept}))
        return version

    def _live_run(self) -> RunRecord | None:
        record = self.services.runs.latest(self.upload.app)
        return record if record is not None and record.phase is not Phase.FINISHED else None

    def _still_here(self, _groups: int) -> None:
        self.services.check_deadline()
        if self.services.now() - self.held.saved_at > RENEW:
            self.held.save(self.held.value)

    def _run(
        self, header: JobFileHeader, live: RunRecord | None, parsed: ParsedConfig
    ) -> RunRecord:
        """The run that takes the jobs: set up, and with this submission registered."""
        if live is None or header.config is not None or header.fleet is not None:
            record = set_up(self.services, parsed, fleet_file=self._fleet_file(header))
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
        submission = Submission(
            source=f"s3://{self.upload.bucket}/{self.upload.key}",
            jobs=claim.jobs,
            output=header.output,
            then=claim.then,
            follows=self.upload.follows,
            step=self.upload.step,
        )
        return self._register(record.run_id, submission)

    def _fleet_file(self, header: JobFileHeader) -> Mapping[str, Any] | None:
        """The job file's own; a next step without one goes on with that of the run before."""
        if header.fleet is not None or not self.upload.follows:
            return header.fleet
        return self.services.runs.load(self.upload.follows).fleet_file

    def _register(self, run_id: str, fresh: Submission) -> RunRecord:
        upload, claim = self.upload, self.held.value
        changed = upload.accepted not in ("", claim.etag)

        def add(record: RunRecord) -> RunRecord:
            if not record.accepts:
                raise NotReadyError(f"the run {run_id} is ending; a new one takes this job file")
            known = record.submissions.get(upload.submission)
            if changed:
                record = record.with_note(
                    f"{upload.key} was changed after the run {upload.follows} had been accepted; "
                    "it is run as it is now"
                )
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
