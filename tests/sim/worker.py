"""What runs on machines, at the level of `chalicelib.contract`: containers with slots that lease
jobs, keep them, publish, write the ledger, and delete the message. DCP's workers, too, which do
the half of that."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import contract
from chalicelib.contract import JobMessage, LedgerEntry
from tests.sim.errors import aws_error

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from tests.sim.ecs import Host, Service
    from tests.sim.world import World

_BEAT = contract.LEASE_SECONDS / 2
_POLL = 20.0
#: A publication that wasn't refreshed for so long is taken over.
_STALE = 600.0
_GONE: ClientError = aws_error("AWS.SimpleQueueService.NonExistentQueue", "gone")


@dataclass
class Job:
    """A message that a slot has in hand."""

    message: JobMessage
    body: str
    receipt: str
    number: int
    begun: float
    attempt: str
    publishing: bool = False


class Task:
    """One container of a service on one machine."""

    def __init__(self, world: World, service: Service, host: Host, number: int):
        self.world = world
        self.service = service
        self.host = host
        self.machine = host.machine
        self.cluster = host.cluster
        self.number = number
        self.arn = f"arn:aws:ecs:us-east-1:123456789012:task/{host.cluster}/{number:032x}"
        self.status = "PENDING"
        self.stopping = False
        self.over = False
        self.reason = ""
        self.exit_code: int | None = None
        self.ended: datetime | None = None
        definition = world.ecs.definitions[service.task_definition]
        (container,) = definition.spec["containerDefinitions"]
        self.environment = {e["name"]: e["value"] for e in container["environment"]}
        self.definition = definition.arn
        self.slots: list[Slot] = []
        self.last_job = 0.0

    @property
    def run(self) -> str:
        """The run it works for; "" for a worker of DCP's image."""
        return self.environment.get(contract.ENV_RUN, "")

    @property
    def busy(self) -> bool:
        return any(slot.job is not None for slot in self.slots)

    @property
    def protected(self) -> bool:
        """DCP's workers don't know of task protection."""
        return bool(self.run) and self.busy

    def begin(self) -> None:
        """The image is pulled first."""
        self.world.time.after(self.world.chance.uniform(5, self.world.laws.pull), self._start)

    def _start(self) -> None:
        if self.over:
            return
        self.status = "RUNNING"
        self.last_job = self.world.time.now
        self.sign_of_life()
        if not self.run:
            name = f"{self.environment['APP_NAME']}_{self.machine.instance_id}"
            self.world.cloudwatch.alarms[name] = {}
        stagger = float(self.environment["SECONDS_TO_START"])
        for number in range(int(self.environment["DOCKER_CORES"])):
            slot = Slot(self)
            self.slots.append(slot)
            self.world.time.after(number * stagger, slot.poll)

    def sign_of_life(self) -> None:
        self.machine.alive = max(self.machine.alive, self.world.time.now)

    def end_if_all_did(self) -> None:
        if all(slot.over for slot in self.slots):
            self.stop("no job")

    def stop(self, why: str) -> None:
        """SIGTERM: jobs are given back, publications are finished if they can be in time."""
        if self.over or self.stopping:
            return
        self.stopping, self.reason = True, why
        self._broken_off()
        for slot in self.slots:
            slot.give_up()
        wait = 80.0 if self.busy else self.world.chance.uniform(1, 20)
        self.world.time.after(wait, lambda: self.kill(why, 0))

    def kill(self, why: str, code: int | None = 137) -> None:
        """Gone at once. What it had in hand stays hidden until its lease runs out."""
        if self.over:
            return
        self.over, self.reason, self.exit_code, self.status = True, why, code, "STOPPED"
        self.ended = self.world.time.moment()
        self._broken_off()
        for slot in self.slots:
            slot.job = None
        self.world.ecs.scheduler.ended(self)

    def _broken_off(self) -> None:
        for slot in self.slots:
            if slot.job is not None:
                self.world.broken_off[f"{slot.job.message.submission}.{slot.job.message.job}"] += 1

    def described(self) -> dict[str, Any]:
        container: dict[str, Any] = {"name": self.environment["APP_NAME"]}
        if self.exit_code is not None:
            container["exitCode"] = self.exit_code
        stopped = {"stoppedAt": self.ended} if self.ended else {}
        return {
            **stopped,
            "taskArn": self.arn,
            "lastStatus": self.status,
            "group": f"service:{self.service.name}",
            "containerInstanceArn": self.host.arn,
            "stoppedReason": self.reason,
            "stopCode": "EssentialContainerExited"
            if self.exit_code
            else "ServiceSchedulerInitiated",
            "containers": [container],
        }


class Slot:
    """One CellProfiler at a time."""

    def __init__(self, task: Task):
        self.task = task
        self.world = task.world
        self.job: Job | None = None
        self.over = False
        self.queue = task.environment["SQS_QUEUE_URL"].rpartition("/")[2]
        self.bucket = task.environment.get(contract.ENV_STATE_BUCKET, "")

    # --- the life of a job -----------------------------------------------------------------------

    def poll(self) -> None:
        task, now = self.task, self.world.time.now
        if task.over or task.stopping or self.job is not None:
            return
        try:
            found = self.world.sqs.receive(self.queue, self._lease())
        except type(_GONE):
            task.kill("the queue is gone", 0)
            return
        if found is None:
            if not task.run:
                self.over = True  # DCP's: each ends with its first empty answer, and then they all
                task.end_if_all_did()
            elif now - task.last_job > contract.IDLE_SECONDS and not task.busy:
                task.stop("no job")
            else:
                self.world.time.after(_POLL, self.poll)
            return
        task.sign_of_life()
        body, receives, receipt = found
        message = JobMessage.decode(body)
        if task.run and message.run and message.run != task.run:
            self._of_another_run(message, body, receipt)
            return
        self.job = Job(
            message,
            body,
            receipt,
            message.failures + receives,
            now,
            f"{task.number}-{receipt}",
        )
        self._begin(self.job)

    def _begin(self, job: Job) -> None:
        commit = self._commit(job)
        if commit and commit["state"] == "published":
            self._close(job)
            return
        if self.task.run and job.number > int(self.task.environment[contract.ENV_JOB_RETRIES]):
            self._fail(job, contract.LOST)
            return
        fate = self.world.fate(job.message.job)
        self.world.started(job.message)
        if self.task.run:
            self._beat(job)
        self.world.time.after(fate.seconds, lambda: self._finish(job))

    def _lease(self) -> float:
        if self.task.run:
            return contract.LEASE_SECONDS
        attributes = self.world.sqs.of(self.queue).attributes
        return float(attributes.get("VisibilityTimeout", 30))

    def _beat(self, job: Job) -> None:
        if self.job is not job:
            return
        try:
            message = self.world.sqs.held(self.queue, job.receipt)
        except type(_GONE):
            self.task.kill("the queue is gone", 0)
            return
        if message is None:
            self.job = None  # the lease is lost: somebody else has the job
            self.poll()
            return
        message.visible_at = self.world.time.now + contract.LEASE_SECONDS
        self.task.sign_of_life()
        self.world.time.after(_BEAT, lambda: self._beat(job))

    def _finish(self, job: Job) -> None:
        """CellProfiler has ended."""
        if self.job is not job:
            return
        cause = self.world.fate(job.message.job).of_attempt(job.number)
        if cause == "kill":
            self.job = None  # its own doing
            self.task.kill("OutOfMemoryError: Container killed due to memory usage", 137)
        elif cause:
            self._fail(job, cause)
        elif self.task.run:
            self._publish(job)
        else:
            self._settle(job)

    def _publish(self, job: Job) -> None:
        commit = self._commit(job)
        if commit and commit["state"] == "published":
            self._close(job)
            return
        age = self.world.time.now - commit["at"] if commit else 0.0
        if commit and commit["attempt"] and age < _STALE:
            self._pass_on(job, contract.RETRY_SECONDS)
            return
        etag = self._write_commit(job, "publishing", commit["etag"] if commit else None)
        job.publishing = True
        files = list(self._files(job))
        seconds = self.world.chance.uniform(1, 10)
        self.world.time.after(seconds, lambda: self._upload(job, etag, files))

    def _upload(self, job: Job, etag: str, files: list[str]) -> None:
        """One file after another; a death in between leaves some."""
        if self.job is not job:
            return
        if files:
            self.world.s3.write(self.world.images, files[0], job.attempt.encode())
            self.world.time.after(1.0, lambda: self._upload(job, etag, files[1:]))
            return
        commit = self._commit(job)
        if commit is None or commit["etag"] != etag:
            self.job = None  # overtaken: touch nothing more
            self.poll()
            return
        self._write_commit(job, "published", etag)
        self._close(job)

    def _files(self, job: Job) -> tuple[str, ...]:
        return tuple(f"{job.message.folder}/{name}" for name in ("Cells.csv", "Image.csv"))

    # --- its end ---------------------------------------------------------------------------------

    def _close(self, job: Job) -> None:
        self._record(job, contract.DONE)
        self._settle(job)

    def _fail(self, job: Job, cause: str) -> None:
        if not self.task.run:
            self._return(job, contract.RETRY_SECONDS)  # SQS counts, and nobody tells why
            return
        retries = int(self.task.environment[contract.ENV_JOB_RETRIES])
        if cause in contract.PERMANENT or job.number >= retries:
            dead = self.task.environment[contract.ENV_DEAD_LETTER_URL].rpartition("/")[2]
            if dead in self.world.sqs.queues:
                self.world.sqs.send(dead, job.body)
            self._record(job, contract.DEAD, cause)
            self._settle(job)
        else:
            self._record(job, contract.FAILED, cause)
            self._return(job, contract.RETRY_SECONDS)

    def _settle(self, job: Job) -> None:
        """Delete the message, and take another."""
        try:
            deleted = self.world.sqs.forget(self.queue, job.receipt)
        except type(_GONE):
            deleted = False
        if deleted and not self.task.run:
            self.world.done_by_dcp.add(job.message.job)
        self._next()

    def _return(self, job: Job, seconds: float) -> None:
        try:
            message = self.world.sqs.held(self.queue, job.receipt)
            if message is not None:
                message.visible_at = self.world.time.now + seconds
        except type(_GONE):
            pass
        self._next()

    def _next(self) -> None:
        self.job = None
        self.task.last_job = self.world.time.now
        self.world.time.after(1.0, self.poll)

    def give_up(self) -> None:
        """The order to stop: a copy is sent, so that no try is used up."""
        job = self.job
        if job is not None and not job.publishing and self.task.run:
            self._pass_on(job, 0)
        elif job is not None and not self.task.run:
            self.job = None  # DCP's worker just dies

    def _pass_on(self, job: Job, delay: float) -> None:
        copy = replace(job.message, failures=job.number - 1)
        try:
            self.world.sqs.send(self.queue, copy.encode(), delay)
            self.world.sqs.forget(self.queue, job.receipt)
        except type(_GONE):
            pass
        self._next()

    def _of_another_run(self, message: JobMessage, body: str, receipt: str) -> None:
        sqs = self.world.sqs
        dead = self.task.environment[contract.ENV_DEAD_LETTER_URL].rpartition("/")[2]
        if message.run > self.task.run:
            sqs.send(self.queue, body)
            sqs.forget(self.queue, receipt)
            self.task.stop("the queue is of a newer run")
        else:
            if dead in sqs.queues:
                sqs.send(dead, body)
            sqs.forget(self.queue, receipt)
            self._next()

    # --- what it writes --------------------------------------------------------------------------

    def _record(self, job: Job, outcome: str, cause: str = "") -> None:
        world, message = self.world, job.message
        moment = world.time.moment() + timedelta(seconds=world.skew_of(self.task.machine))
        entry = LedgerEntry(
            run=message.run,
            minute=f"{moment:%Y%m%dT%H%M}",
            submission=message.submission,
            job=message.job,
            attempt=job.number,
            outcome=outcome,
            cause=cause,
            seconds=int(world.time.now - job.begun),
        )
        told = {"sentence": f"the simulator says {outcome} {cause}", "folder": message.folder}

        def write() -> None:
            world.s3.write(self.bucket, entry.key(), json.dumps(told).encode())

        if world.laws.late_ledger and outcome == contract.DONE:
            world.time.after(world.chance.uniform(0, world.laws.late_ledger), write)
        else:
            write()

    def _commit(self, job: Job) -> dict[str, Any] | None:
        """The job's commit, with its ETag and when it was written."""
        if not self.task.run:
            return None
        found = self.world.s3.buckets[self.bucket].objects.get(self._commit_key(job))
        if found is None:
            return None
        at = (found.modified - self.world.time.moment()).total_seconds() + self.world.time.now
        return {**json.loads(found.body), "etag": found.etag, "at": at}

    def _write_commit(self, job: Job, state: str, etag: str | None) -> str:
        key = self._commit_key(job)
        self.world.s3.check(self.bucket, key, etag, "*" if etag is None else None)
        manifest = [{"name": name, "size": 1, "sha256": job.attempt} for name in self._files(job)]
        body = contract.commit_body(state, job.attempt, manifest)
        return self.world.s3.write(self.bucket, key, body.encode()).etag

    def _commit_key(self, job: Job) -> str:
        message = job.message
        return contract.commit_key(message.run, message.submission, message.job)
