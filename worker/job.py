"""One job, from its lease to the ledger."""

from __future__ import annotations

import shutil
import socket
import uuid
from dataclasses import replace
from typing import Any

from chalicelib import contract
from chalicelib.contract.groups import output_leaf
from worker.check import Results, check
from worker.commit import CommitFile
from worker.donecheck import is_done
from worker.engine import Command
from worker.failures import INTERRUPTED, RUN_STOPPED, Cancelled, JobFailure, explain
from worker.logs import JobLog
from worker.prepare import Folder, Prepared, prepare
from worker.publish import AlreadyPublished, Busy, Destination, Publication
from worker.queue import Heartbeat, Lease, QueueGone
from worker.reception import NO_SUBMISSION, NOT_KEPT, admit
from worker.tools import Tools

#: A job that is being published when the order to stop comes may take this long, in seconds,
#: to finish; a bit less than the supervisor waits.
PUBLISH_GRACE = 80.0
_FILES_IN_LEDGER = 1000
TRIES_USED_UP = (
    "all %d tries (JOB_RETRIES) are used up; the last one ended with its container or its machine, "
    "so that nobody could say why"
)


def work(tools: Tools, lease: Lease) -> None:
    """See one leased message through. Raises QueueGone and Unfit, which end the worker."""
    tools.alive()
    message = admit(tools, lease)
    if message is None:
        return
    leaf = output_leaf(message.output_structure, message.group)
    log = JobLog(tools.logs, tools.environment.log_group, leaf, tools.now)
    heartbeat = Heartbeat(tools.queue, lease, tools.stop, tools.clock)
    heartbeat.beats += [tools.alive, tools.protection.renew]
    with heartbeat, tools.protection.job(), log:
        _Attempt(tools, lease, message, heartbeat, log).run()


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
        self.over = False

    def run(self) -> None:
        """Try, and settle the message whatever comes of it."""
        try:
            self._try()
        except (Cancelled, Busy) as error:
            self._drop(error)
        except QueueGone:
            raise
        except Exception as error:
            if self.over:
                # Whoever gets the message next finds the results, and only closes the books.
                self.log.write("The results are there, but not recorded yet: %s" % error)
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
        if environment.job_retries and self.number > environment.job_retries:
            # A message that is passed on begins to be counted anew by SQS, which buries the others.
            raise JobFailure(contract.LOST, TRIES_USED_UP % environment.job_retries)
        results = self._run_cellprofiler()
        try:
            self._publish(results, commit)
        except AlreadyPublished:
            self._close(contract.DONE, "Another worker published the results first")
            return
        self._close(contract.DONE, "Published %d files" % len(results.files), results)

    def _run_cellprofiler(self) -> Results:
        tools = self.tools
        self.folder.make()
        check_lease = self.heartbeat.check
        with tools.data_files.held() as data_files:
            job = prepare(tools.s3, data_files, tools.environment, self.message, self.folder)
            command = self._command(job)
            tools.engine.warm_up(command)
            with tools.inputs.hold(job.wanted, check_lease):
                self.log.write("Fetched %d files" % len(job.wanted))
                self.log.write(command.line())
                finished = tools.engine.run(
                    command, tools.environment.job_timeout, check_lease, self.log.write
                )
        self.heartbeat.check(PUBLISH_GRACE)
        return check(finished, self.folder.output, job.expected)

    def _command(self, job: Prepared) -> Command:
        """What failed once is tried again in the plainest way."""
        if self.number > 1 and not job.command.cold:
            return replace(job.command, cold="an earlier attempt failed")
        return job.command

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
        """The job is over, and well: what fails from here on is no failure of the job."""
        self.over = True
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
        letters.

        The ledger calls a job dead only once its message is where it belongs, and the message
        is deleted last: whatever fails in between, the job is tried again.
        """
        self.heartbeat.end()
        self.log.write(
            "Attempt %d failed (%s): %s" % (self.number, failure.cause, failure.sentence)
        )
        sentence, dead = failure.sentence, self._hopeless(failure)
        try:
            if dead and not self.tools.queue.send_to_dead_letters(self.lease):
                self.log.write(NOT_KEPT)
                sentence = "%s. %s" % (sentence.rstrip("."), NOT_KEPT)
        except Exception as error:
            self.log.write("The dead-letter queue couldn't be written: %s" % error)
            dead = False
        try:
            self._record(contract.DEAD if dead else contract.FAILED, sentence, failure.cause)
        except Exception as error:
            self.log.write("The ledger couldn't be written: %s" % error)
            dead = False
        if dead:
            self.tools.queue.delete(self.lease)
        else:
            self.tools.queue.give_back(self.lease)

    def _hopeless(self, failure: JobFailure) -> bool:
        """Whether this was the last attempt. Without a dead-letter queue SQS alone decides."""
        retries = self.tools.environment.job_retries
        last = bool(retries) and self.number >= retries
        permanent = failure.cause in contract.PERMANENT
        return bool(self.tools.queue.dead_letter_url) and (permanent or last)

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
