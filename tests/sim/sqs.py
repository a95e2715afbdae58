"""SQS: visibility, dead-lettering, counts that lag, and names that stay taken for a minute."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.sim.errors import aws_error

if TYPE_CHECKING:
    from tests.sim.world import World

ACCOUNT = "123456789012"
NAME_FREE_AFTER = 60.0
#: Seconds between two samples of a queue's counts; what a reading says is one of these.
SAMPLED = 15.0
_MOST_SAMPLES = 12


@dataclass
class Message:
    body: str
    visible_at: float
    receives: int = 0
    receipt: str = ""


@dataclass
class Queue:
    name: str
    attributes: dict[str, str]
    tags: dict[str, str]
    messages: dict[int, Message] = field(default_factory=dict)
    #: (when, visible, in flight), the latest last.
    samples: deque[tuple[float, int, int]] = field(
        default_factory=lambda: deque(maxlen=_MOST_SAMPLES)
    )
    #: It was deleted: until then it still answers, and swallows what is sent.
    gone_at: float | None = None
    changed: int = 0

    @property
    def url(self) -> str:
        return f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{self.name}"

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{self.name}"


class SQS:
    def __init__(self, world: World):
        self._world = world
        self.queues: dict[str, Queue] = {}
        self._deleted: dict[str, float] = {}
        #: When a message went for good, done or dead, for the last time.
        self.settled = 0.0
        self._number = count(1)
        world.time.every(SAMPLED, self._sample)

    # --- for machines and tests ------------------------------------------------------------------

    def send(self, name: str, body: str, delay: float = 0.0) -> None:
        """A message comes in. Raises what AWS raises."""
        queue = self.of(name)
        if queue.gone_at is None:
            queue.messages[next(self._number)] = Message(body, self._world.time.now + delay)

    def receive(self, name: str, lease: float) -> tuple[str, int, str] | None:
        """One message: its body, how often it was received, its receipt. Those that were received
        too often go to the dead letters first, and nobody is told."""
        queue, now = self.of(name), self._world.time.now
        if queue.gone_at is not None:
            return None
        limit, dead = _redrive(queue)
        for number, message in list(queue.messages.items()):
            if message.visible_at > now:
                continue
            if limit and message.receives >= limit:
                del queue.messages[number]
                self.settled = now
                if dead in self.queues:
                    self.queues[dead].messages[number] = Message(message.body, now)
                continue
            message.receives += 1
            message.visible_at = now + lease
            message.receipt = f"r{number}-{message.receives}"
            return message.body, message.receives, message.receipt
        return None

    def held(self, name: str, receipt: str) -> Message | None:
        """The message under a receipt, if it is still the latest one and in flight."""
        queue = self.of(name)
        message = queue.messages.get(int(receipt[1:].partition("-")[0]))
        if message is None or message.receipt != receipt:
            return None
        return message if message.visible_at > self._world.time.now else None

    def forget(self, name: str, receipt: str) -> bool:
        """Delete a message; False if the receipt is an old one."""
        queue = self.of(name)
        number = int(receipt[1:].partition("-")[0])
        message = queue.messages.get(number)
        if message is None or message.receipt != receipt:
            return False
        del queue.messages[number]
        self.settled = self._world.time.now
        return True

    def of(self, name: str) -> Queue:
        """The queue of this name. Raises what AWS raises if there is none."""
        queue = self.queues.get(name)
        if queue is None:
            raise aws_error(
                "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."
            )
        return queue

    # --- what AWS offers -------------------------------------------------------------------------

    def create_queue(
        self, QueueName: str, Attributes: dict[str, str], tags: dict[str, str]
    ) -> dict[str, Any]:
        found = self.queues.get(QueueName)
        if self._world.time.now < self._deleted.get(QueueName, -NAME_FREE_AFTER) + NAME_FREE_AFTER:
            raise aws_error(
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another "
                "with the same name.",
            )
        if found is not None:
            if any(found.attributes.get(k) != v for k, v in Attributes.items()):
                raise aws_error(
                    "QueueAlreadyExists", "A queue already exists with different attributes"
                )
            return {"QueueUrl": found.url}
        self.queues[QueueName] = Queue(QueueName, dict(Attributes), dict(tags))
        return {"QueueUrl": self.queues[QueueName].url}

    def get_queue_url(self, QueueName: str) -> dict[str, Any]:
        return {"QueueUrl": self.of(QueueName).url}

    def list_queues(self, QueueNamePrefix: str) -> dict[str, Any]:
        found = [q.url for q in self.queues.values() if q.name.startswith(QueueNamePrefix)]
        return {"QueueUrls": found} if found else {}

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        queue = self._at(QueueUrl)
        visible, in_flight = self._reading(queue)
        counts = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            "ApproximateNumberOfMessagesDelayed": "0",
        }
        found = {"QueueArn": queue.arn, **queue.attributes, **counts}
        if AttributeNames != ["All"]:
            found = {name: found[name] for name in AttributeNames if name in found}
        return {"Attributes": found}

    def set_queue_attributes(self, QueueUrl: str, Attributes: dict[str, str]) -> dict[str, Any]:
        queue = self._at(QueueUrl)
        queue.attributes |= Attributes
        queue.changed += 1
        return {}

    def list_queue_tags(self, QueueUrl: str) -> dict[str, Any]:
        tags = dict(self._at(QueueUrl).tags)
        return {"Tags": tags} if tags else {}

    def tag_queue(self, QueueUrl: str, Tags: dict[str, str]) -> dict[str, Any]:
        self._at(QueueUrl).tags |= Tags
        return {}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Entries) <= 10
        queue = self._at(QueueUrl)
        for entry in Entries:
            self.send(queue.name, entry["MessageBody"], entry.get("DelaySeconds", 0))
        return {
            "Successful": [
                {"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "0"} for e in Entries
            ]
        }

    def purge_queue(self, QueueUrl: str) -> dict[str, Any]:
        self._at(QueueUrl).messages.clear()
        return {}

    def delete_queue(self, QueueUrl: str) -> dict[str, Any]:
        """It answers for a while yet."""
        queue = self._at(QueueUrl)
        if queue.gone_at is None:
            now = self._world.time.now
            self._deleted[queue.name] = now
            queue.gone_at = now + self._world.chance.uniform(0, self._world.laws.delete_lag)
            queue.messages.clear()

            def vanish() -> None:
                if self.queues.get(queue.name) is queue:
                    del self.queues[queue.name]

            self._world.time.at(queue.gone_at, vanish)
        return {}

    # --- within ----------------------------------------------------------------------------------

    def _at(self, url: str) -> Queue:
        return self.of(url.rpartition("/")[2])

    def _sample(self) -> None:
        for queue in self.queues.values():
            queue.samples.append((self._world.time.now, *self._count(queue)))

    def _count(self, queue: Queue) -> tuple[int, int]:
        now = self._world.time.now
        visible = sum(message.visible_at <= now for message in queue.messages.values())
        return visible, len(queue.messages) - visible

    def _reading(self, queue: Queue) -> tuple[int, int]:
        """Counts as they were a while ago; now and then, of no sense at all."""
        world = self._world
        laws, chance = world.laws, world.chance
        if world.time.now < laws.flapping and chance.random() < laws.flap:
            world.faults.last = world.time.now
            return (0, 0) if chance.random() < 0.7 else (len(queue.messages) + 3, 0)
        oldest = world.time.now - chance.uniform(0, laws.count_lag)
        past = [sample for sample in queue.samples if sample[0] >= oldest]
        return past[0][1:] if past else self._count(queue)


def _redrive(queue: Queue) -> tuple[int, str]:
    """After how many receives, and to which queue."""
    policy = json.loads(queue.attributes.get("RedrivePolicy", "{}"))
    limit = int(policy.get("maxReceiveCount", 0))
    return limit, str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
