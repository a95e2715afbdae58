"""The step from one run of a chain to the next."""

from __future__ import annotations

from chalicelib.aws.actions.rim import Rim, carry_out
from chalicelib.core import keys
from chalicelib.core.actions.record import StartNextStep
from chalicelib.core.run import RunRecord


@carry_out.register
def _(action: StartNextStep, rim: Rim) -> None:
    """Marked, then ticked off: who dies in between marks it again, and its claim knows it."""
    upload = action.upload
    mark = keys.pending(upload.app, upload.submission)
    rim.services.store.put(mark, upload.model_dump_json().encode())

    def tick_off(found: RunRecord) -> RunRecord | None:
        if upload.key in found.went_on:
            return None
        return found.model_copy(update={"went_on": (*found.went_on, upload.key)})

    rim.change(tick_off)
