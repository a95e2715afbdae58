"""Queues: create, update, purge, delete."""

from __future__ import annotations

from chalicelib.aws.actions.rim import Rim, carry_out, gone_is_fine
from chalicelib.aws.errors import AwsError, code, is_not_found
from chalicelib.core.actions.queues import CreateQueue, DeleteQueue, PurgeQueue, UpdateQueue
from chalicelib.errors import NotReadyError

_QUEUE_EXISTS = ("QueueAlreadyExists", "QueueNameExists")


@carry_out.register
def _(action: CreateQueue, rim: Rim) -> None:
    try:
        rim.aws.sqs.create_queue(
            QueueName=action.name,
            Attributes=dict(action.attributes),  # type: ignore[arg-type]
            tags=dict(action.tags),
        )
    except AwsError as error:
        if "QueueDeletedRecently" in code(error):
            raise NotReadyError(
                f"the queue {action.name} was deleted less than 60 seconds ago; "
                "its name is free again soon"
            ) from error
        if code(error) not in _QUEUE_EXISTS:  # another set-up was faster: the next look tells
            raise


@carry_out.register
def _(action: UpdateQueue, rim: Rim) -> None:
    if action.attributes:
        rim.aws.sqs.set_queue_attributes(
            QueueUrl=action.url,
            Attributes=dict(action.attributes),  # type: ignore[arg-type]
        )
    rim.aws.sqs.tag_queue(QueueUrl=action.url, Tags=dict(action.tags))


@carry_out.register
def _(action: DeleteQueue, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.sqs.delete_queue(QueueUrl=action.url))


@carry_out.register
def _(action: PurgeQueue, rim: Rim) -> None:
    try:
        rim.aws.sqs.purge_queue(QueueUrl=action.url)
    except AwsError as error:
        # SQS purges a queue once a minute: it was purged just now.
        if not is_not_found(error) and "PurgeQueueInProgress" not in code(error):
            raise
