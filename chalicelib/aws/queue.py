"""SQS: look at queues, and send many messages fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.errors import is_not_found
from chalicelib.core.observation import QueueView
from chalicelib.errors import CellFleetError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

#: SQS takes at most this many messages and bytes in one batch.
BATCH = 10
BATCH_BYTES = 262_144
#: How often the rest of a partly failed batch is sent again.
_ROUNDS = 6


class SendFailedError(CellFleetError):
    """SQS kept refusing messages of a batch."""


def look(sqs: SQSClient, name: str, *, tags: bool) -> QueueView | None:
    """A queue by its exact name, or None. Two calls, three with tags."""
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        return look_at(sqs, url, tags=tags)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise


def tags(sqs: SQSClient, url: str) -> Mapping[str, str] | None:
    """The tags of a queue, or None if there is none."""
    try:
        return sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    except ClientError as error:
        if is_not_found(error):
            return None
        raise


def look_at(sqs: SQSClient, url: str, *, tags: bool = False) -> QueueView | None:
    """A queue by its URL, or None. One call, two with tags."""
    try:
        found: Mapping[str, str] = dict(
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]  # type: ignore[arg-type]
        )
        found_tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {}) if tags else {}
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    return QueueView(
        url=url,
        arn=found["QueueArn"],
        attributes=found,
        tags=found_tags,
        visible=int(found.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
    )


@dataclass(frozen=True)
class Batch:
    """Up to ten message bodies that fit into one request."""

    bodies: tuple[str, ...]


def batches(bodies: Iterable[str]) -> Iterator[Batch]:
    """Packs bodies into batches, by count and by bytes."""
    packed: list[str] = []
    room = BATCH_BYTES
    for body in bodies:
        size = len(body)  # ASCII JSON: a character is a byte
        if packed and (len(packed) == BATCH or size > room):
            yield Batch(tuple(packed))
            packed, room = [], BATCH_BYTES
        packed.append(body)
        room -= size
    if packed:
        yield Batch(tuple(packed))


def send(sqs: SQSClient, url: str, batch: Batch) -> None:
    """Send a batch; what SQS answers as failed is sent again. Raises SendFailedError."""
    entries: Sequence[SendMessageBatchRequestEntryTypeDef] = [
        {"Id": str(index), "MessageBody": body} for index, body in enumerate(batch.bodies)
    ]
    reason = ""
    for _ in range(_ROUNDS):
        failed = sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        if not failed:
            return
        refused = {item["Id"] for item in failed}
        entries = [entry for entry in entries if entry["Id"] in refused]
        reason = failed[0].get("Message") or failed[0]["Code"]
    raise SendFailedError(
        f"SQS refused {len(entries)} messages {_ROUNDS} times; its last reason: {reason}"
    )
