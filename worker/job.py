"""One job, from its lease to the ledger."""

from __future__ import annotations

import hashlib
import shutil
import socket
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable

from chalicelib import contract
from worker import engine
from worker.check import Results, check
from worker.commit import CommitFile
from worker.donecheck import is_done
from worker.environment import Environment
from worker.failures import INTERRUPTED, RUN_STOPPED, Cancelled, JobFailure, explain
from worker.inputs import Inputs
from worker.ledger import Ledger
from worker.logs import JobLog
from worker.prepare import Folder, prepare
from worker.protection import Protection
from worker.publish import AlreadyPublished, Busy, Destination, Publication
from worker.queue import Heartbeat, Lease, Queue, QueueGone, Stop

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

#: The submission in the ledger of messages that have none.
NO_SUBMISSION = "dcp"
#: A job that is being published when the order to stop comes may take this long to finish.
PUBLISH_GRACE = 8.0
_FILES_IN_LEDGER = 1000


class ForeignRun(Exception):
    """The message belongs to another run: this worker has no business with that queue."""


@dataclass(frozen=True)
class Tools:
    """What the slots of a container share. `clock` only measures, `now` is seconds since 1970;
    `alive` leaves the sign of life."""

    environment: Environment
    s3: S3Client
    logs: CloudWatchLogsClient | None
    queue: Queue
    inputs: Inputs
    protection: Protection
    stop: Stop
    clock: Callable[[], float]
    now: Callable[[], float]
    alive: Callable[[], None]

    @property
    def ledger(self) -> Ledger:
        """The run's ledger."""
        return Ledger(self.s3, self.environment.state_bucket, self.environment.run)


def work(tools: Tools, lease: Lease) -> None:
    """See one leased message through. Raises QueueGone and ForeignRun, which end the worker."""
    tools.alive()
    try:
        message = contract.JobMessage.decode(lease.body)
    except (contract.MessageError, TypeError, ValueError) as error:
        _bury_unreadable(tools, lease, str(error))
        return
    run = tools.environment.run
    if run and message.run and message.run != run:
        tools.queue.pass_on(lease, lease.body)
        raise ForeignRun("found a job of run %s in the queue of %s" % (message.run, run))
    leaf = contract.output_leaf(message.output_structure, message.group)
    log = JobLog(tools.logs, tools.environment.log_group, leaf, tools.now)
    heartbeat = Heartbeat(tools.queue, lease, tools.stop, tools.clock)
    heartbeat.beats += [tools.alive, tools.protection.renew]
    with heartbeat, tools.protection.job(), log:
        _Attempt(tools, lease, message, heartbeat, log).run()


def _bury_unreadable(tools: Tools, lease: Lease, why: str) -> None:
    sentence = "The message can't be read: %s" % why
    print(sentence, flush=True)
    if not tools.queue.dead_letter_url:
        tools.queue.give_back(lease)
        return
    tools.ledger.record(
        NO_SUBMISSION,
        hashlib.sha256(lease.body.encode("utf-8", "replace")).hexdigest()[:20],
        lease.receives,
        contract.DEAD,
        tools.now(),
        cause=contract.MESSAGE,
        details={"sentence": sentence, "message": lease.body[:2000]},
    )
    tools.queue.bury(lease)


class _Attempt:
    """One attempt at one job."""

    def __init__(
        self,
        tools: Tools,
        lease: Lease,
        message: contract.JobMessage,
        heartbeat: Heartbeat,
        log: JobLog,
    ):
        self.tools = tools
        self.lease = lease
        self.message = message
        self.heartbeat = heartbeat
        self.log = log
        self.started = tools.clock()
        self.number = message.failures + lease.receives
        self.name = "%s-%s" % (message.job[:8], uuid.uuid4().hex)
        self.folder = Folder(tools.environment.work / ("job-" + self.name))
        self.published = False

    def run(self) -> None:
        """Try, and settle the message whatever comes of it."""
        try:
            self._try()
        except (Cancelled, Busy) as error:
            self._drop(error)
        except QueueGone:
            raise
        except Exception as error:
            if self.published:
                # Whoever gets the message next finds the commit, and only closes the books.
                self.log.write("Published, but not recorded yet: %s" % error)
                self.tools.queue.give_back(self.lease)
            else:
                self._fail(explain(error, "working on the job", contract.CRASH))
        finally:
            shutil.rmtree(str(self.folder.path), ignore_errors=True)

    def _try(self) -> None:
        environment = self.tools.environment
        commit = self._commit()
        found = commit.read() if commit else None
        if found and found.published:
            self._close(contract.DONE, "The results had been published already")
            return
        if found and not found.free:
            raise Busy
        # Files of a publication that broke off don't count as results.
        if (
            environment.check_if_done
            and found is None
            and is_done(self.tools.s3, environment, self.message.folder)
        ):
            self._close(contract.SKIPPED, "File not run due to > expected number of files")
            return
        results = self._run_cellprofiler()
        try:
            self._publish(results, commit)
        except AlreadyPublished:
            self._close(contract.DONE, "Another worker published the results first")
            return
        self.published = True
        self._close(contract.DONE, "Published %d files" % len(results.files), results)

    def _run_cellprofiler(self) -> Results:
        tools = self.tools
        self.folder.make()
        job = prepare(tools.s3, tools.environment, self.message, self.folder)
        with tools.inputs.hold(job.wanted, self.heartbeat.check):
            self.log.write("Fetched %d files" % len(job.wanted))
            self.log.write(job.command.line())
            finished = engine.run(
                job.command,
                tools.environment.job_timeout,
                self.heartbeat.check,
                self.log.write,
                tools.clock,
            )
        self.heartbeat.check(PUBLISH_GRACE)
        return check(finished, self.folder.output, job.expected)

    def _commit(self) -> CommitFile | None:
        """Where the job's commit is. DCP's messages have none: nothing tells a job that was
        sent again on purpose from a second delivery, so both are run."""
        environment, message = self.tools.environment, self.message
        if not (environment.state_bucket and message.submission and message.run):
            return None
        key = contract.commit_key(message.run, message.submission, message.job)
        return CommitFile(self.tools.s3, environment.state_bucket, key)

    def _publish(self, results: Results, commit: CommitFile | None) -> None:
        environment = self.tools.environment
        destination = Destination(
            self.tools.s3,
            environment.destination_bucket,
            self.message.folder,
            environment.upload_arguments or {},
        )

        def check_lease() -> None:
            self.heartbeat.check(PUBLISH_GRACE)

        if commit is None:
            for file in results.files:
                check_lease()
                destination.upload(self.folder.output, file.as_posix())
            return
        publication = Publication(commit, destination, self.name, self.tools.clock)
        self.heartbeat.beats.append(publication.refresh)
        publication.publish(self.folder.output, results.files, check_lease)

    def _close(self, outcome: str, sentence: str, results: Results | None = None) -> None:
        """The job is over, and well."""
        self.log.write(sentence)
        details: dict[str, Any] = {}
        if results:
            names = [file.as_posix() for file in results.files]
            details["files"] = names[:_FILES_IN_LEDGER]
            details["file_count"] = len(names)
            if results.module_errors:
                details["module_errors"] = list(results.module_errors)
        self._record(outcome, sentence, details=details)
        self.tools.queue.delete(self.lease)

    def _fail(self, failure: JobFailure) -> None:
        """Back to the queue, or, where trying again can't help or isn't allowed, to the dead
        letters."""
        self.heartbeat.end()
        retries = self.tools.environment.job_retries
        last = bool(retries) and self.number >= retries
        permanent = failure.cause in contract.PERMANENT
        dead = (permanent or last) and self.tools.queue.dead_letter_url
        outcome = contract.DEAD if dead else contract.FAILED
        self.log.write(
            "Attempt %d failed (%s): %s" % (self.number, failure.cause, failure.sentence)
        )
        try:
            self._record(outcome, failure.sentence, failure.cause)
        except Exception as error:
            self.log.write("The ledger couldn't be written: %s" % error)
            dead = ""
        if dead:
            self.tools.queue.bury(self.lease)
        else:
            self.tools.queue.give_back(self.lease)

    def _drop(self, error: Cancelled | Busy) -> None:
        """The job is for somebody else. A copy is sent, so that this doesn't use up a retry."""
        self.heartbeat.end()
        if isinstance(error, Cancelled) and error.reason != INTERRUPTED:
            self.log.write("Dropped: %s" % error.reason)
            if error.reason == RUN_STOPPED:
                raise QueueGone
            return
        busy = isinstance(error, Busy)
        self.log.write(
            "Another worker is publishing this job" if busy else "Returned: the worker is stopping"
        )
        copy = replace(self.message, failures=self.number - 1)
        try:
            delay = contract.RETRY_SECONDS if busy else 0
            self.tools.queue.pass_on(self.lease, copy.encode(), delay)
        except QueueGone:
            raise
        except Exception as refusal:
            self.log.write("The message couldn't be sent anew (%s): returned" % refusal)
            self.tools.queue.extend(self.lease, 0)

    def _record(
        self, outcome: str, sentence: str, cause: str = "", details: dict[str, Any] | None = None
    ) -> None:
        message = self.message
        self.tools.ledger.record(
            message.submission or NO_SUBMISSION,
            message.job,
            self.number,
            outcome,
            self.tools.now(),
            seconds=self.tools.clock() - self.started,
            cause=cause,
            details={
                "sentence": sentence,
                "folder": message.folder,
                "group": dict(message.group),
                "pipeline": message.pipeline,
                "host": socket.gethostname(),
                "log_stream": self.log.stream,
                **(details or {}),
            },
        )
