"""Notices to people, by way of an SNS topic."""

from __future__ import annotations

from chalicelib.aws.actions.rim import Rim, carry_out
from chalicelib.core.actions.record import Notify
from chalicelib.core.run import RunRecord


@carry_out.register
def _(action: Notify, rim: Rim) -> None:
    """Sent, then written down: who dies in between sends it twice, and nobody sends it never."""
    record = rim.services.runs.load(rim.run_id)
    if not record.topic or action.kind in record.notified:
        return
    rim.aws.sns.publish(TopicArn=record.topic, Subject=action.subject, Message=action.body)

    def tick_off(found: RunRecord) -> RunRecord | None:
        if action.kind in found.notified:
            return None
        return found.model_copy(update={"notified": (*found.notified, action.kind)})

    rim.change(tick_off)
