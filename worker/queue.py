"""The job queue: leasing a message, keeping the lease, giving it back."""

from __future__ import annotations

import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterator

from botocore.exceptions import ClientError

from chalicelib import contract
from worker.failures import INTERRUPTED, LEASE_LOST, RUN_STOPPED, Cancelled, error_code

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

#: Shorter than SQS allows, so that a worker asked to stop has no poll open for long: a job
#: that arrived in it would be hidden from the others until its lease ran out.
POLL_SECONDS = 10
_RETRY_BEAT_SECONDS = 5.0

_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_LOST = ("MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue")


class QueueGone(Exception):
    """The queue was deleted: the run has been stopped."""


class LeaseLost(Exception):
    """The message isn't ours any more."""


@dataclass(frozen=True)
class Lease:
    """A received message. `receives` counts how often SQS handed it out, this time included."""

    body: str
    receipt: str
    receives: int


class Queue:
    """One job queue and its dead-letter queue ("" if the worker isn't to use one).

    Every call raises QueueGone when the job queue was deleted.
    """

    def __init__(
        self, sqs: SQSClient, url: str, dead_letter_url: str = "", poll_seconds: int = POLL_SECONDS
    ):
        self._sqs = sqs
        self._url = url
        self.dead_letter_url = dead_letter_url
        self._poll_seconds = poll_seconds

    def receive(self) -> Lease | None:
        """Wait for a message; None if there was none."""
        with _translated():
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=self._poll_seconds,
                VisibilityTimeout=contract.LEASE_SECONDS,
                AttributeNames=["ApproximateReceiveCount"],
            )
        for message in answer.get("Messages", []):
            receives = message.get("Attributes", {}).get("ApproximateReceiveCount", "1")
            return Lease(message["Body"], message["ReceiptHandle"], int(receives))
        return None

    def extend(self, lease: Lease, seconds: int = contract.LEASE_SECONDS) -> None:
        """Keep a message hidden for that long from now. Raises LeaseLost."""
        with _translated():
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=lease.receipt, VisibilityTimeout=seconds
            )

    def give_back(self, lease: Lease) -> None:
        """Let the message be tried again in a minute; SQS counts this receive."""
        # A lost one is on its way already.
        with suppress(LeaseLost):
            self.extend(lease, contract.RETRY_SECONDS)

    def delete(self, lease: Lease) -> None:
        """The job is over."""
        # Whoever has a lost one now will find the job published.
        with suppress(LeaseLost), _translated():
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=lease.receipt)

    def pass_on(self, lease: Lease, body: str, delay: int = 0) -> None:
        """Send a copy and delete the original: a return that doesn't use up a retry."""
        with _translated():
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=delay)
        self.delete(lease)

    def send_to_dead_letters(self, lease: Lease) -> bool:
        """Put a copy into the dead-letter queue; False if that queue is gone. The original is
        the caller's to delete, once the job's end is on record."""
        try:
            self._sqs.send_message(QueueUrl=self.dead_letter_url, MessageBody=lease.body)
        except ClientError as error:
            # Not QueueGone: the run goes on.
            if error_code(error) in _GONE:
                return False
            raise
        return True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if code in _GONE:
            raise QueueGone from error
        if code in _LOST:
            raise LeaseLost from error
        raise


class Stop:
    """The order to stop, for all slots of the container. Set from any thread."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._event = threading.Event()
        self._since = 0.0
        self._at_once = False
        self.reason = ""

    def set(self, reason: str, at_once: bool = False) -> None:
        """Give the order; the first reason counts. `at_once`: nobody gets a grace any more."""
        self._at_once = self._at_once or at_once
        if not self._event.is_set():
            self.reason, self._since = reason, self._clock()
            self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep that long, less if the order comes; whether it has come."""
        return self._event.wait(seconds)

    def given(self, grace: float = 0.0) -> bool:
        """Whether the order was given, and a job's `grace` (in seconds) is over."""
        return self._event.is_set() and (self._at_once or self.age() >= grace)

    def age(self) -> float:
        """Seconds since the order; 0 before it."""
        return self._clock() - self._since if self._event.is_set() else 0.0


class Heartbeat:
    """Keeps a lease for as long as the `with` lasts, and knows whether it is still held.

    `beats` are called after each extension; what they raise is logged, and no more.
    """

    def __init__(self, queue: Queue, lease: Lease, stop: Stop, clock: Callable[[], float]):
        self._queue = queue
        self._lease = lease
        self._stop = stop
        self._clock = clock
        self._held_until = clock() + contract.LEASE_SECONDS
        self._lost = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)
        self.beats: list[Callable[[], None]] = []

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Beat no more: a late extension would hide a message that is being returned."""
        self._over.set()
        self._thread.join()

    def beat(self) -> bool:
        """Extend the lease once; whether that worked."""
        try:
            asked = self._clock()
            self._queue.extend(self._lease)
            self._held_until = asked + contract.LEASE_SECONDS
        except QueueGone:
            self._lost = RUN_STOPPED
        except LeaseLost:
            self._lost = LEASE_LOST
        except Exception as error:
            print("The lease couldn't be extended, trying again: %s" % error, flush=True)
            return False
        if not self._lost:
            for call in self.beats:
                _survive(call)
        return True

    def check(self, grace: float = 0.0) -> None:
        """Raises Cancelled once the job has to be dropped; an order to stop is left unheeded
        for `grace` seconds."""
        if not self._lost and self._clock() >= self._held_until:
            self._lost = LEASE_LOST
        if self._lost:
            raise Cancelled(self._lost)
        if self._stop.given(grace):
            raise Cancelled(INTERRUPTED)

    def _keep(self) -> None:
        pause = contract.LEASE_SECONDS / 2
        while not self._over.wait(pause) and not self._lost:
            pause = contract.LEASE_SECONDS / 2 if self.beat() else _RETRY_BEAT_SECONDS


def _survive(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        # Whatever it was: without the heartbeat's thread the lease would be lost.
        traceback.print_exc()
