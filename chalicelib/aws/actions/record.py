"""The run record: its phase, what is remembered, notes, and jobs whose outcome is missing."""

from __future__ import annotations

from typing import Any

from chalicelib.aws import missing
from chalicelib.aws.actions.rim import Rim, carry_out
from chalicelib.core import keys
from chalicelib.core.actions.record import ChangePhase, Note, Remember, ResolveMissing
from chalicelib.core.run import STOPPED, Phase, RunRecord

_TRANSITIONS = {
    Phase.OPEN: (Phase.ENDING,),
    Phase.ENDING: (Phase.OPEN, Phase.TEARING_DOWN),
    Phase.TEARING_DOWN: (Phase.FINISHED,),
    Phase.FINISHED: (),
}


@carry_out.register
def _(action: ChangePhase, rim: Rim) -> None:
    phase = Phase(action.phase)

    def turn(record: RunRecord) -> RunRecord | None:
        if phase not in _TRANSITIONS[record.phase]:
            return None
        if phase is not Phase.OPEN and record.outcome != STOPPED and not record.closed:
            return None  # a submission came in between: it goes first
        update: dict[str, Any] = {"phase": phase, "outcome": action.outcome or record.outcome}
        if phase is Phase.OPEN:
            update["outcome"] = ""
        if action.result is not None:
            update["result"] = action.result
        if phase is Phase.FINISHED:
            update["ended_at"] = rim.services.now()
        return record.model_copy(update=update)

    if phase is Phase.FINISHED and rim.services.settings.export_logs:
        rim.services.store.put(keys.exporting(rim.run_id), b"")  # first, so that it is never lost
    if rim.change(turn).phase is Phase.FINISHED:
        rim.services.runs.forget(rim.run_id)


@carry_out.register
def _(action: Remember, rim: Rim) -> None:
    rim.remember(action.fields)


@carry_out.register
def _(action: ResolveMissing, rim: Rim) -> None:
    record = rim.services.runs.load(rim.run_id)
    missing.resolve(rim.services, record, send_again=action.send_again)
    # Counted last: if we die before, they are sent once more, never once less.
    now = rim.services.now()
    rim.change(
        lambda found: found.model_copy(update={"resent": found.resent + 1, "resent_at": now})
    )


@carry_out.register
def _(action: Note, rim: Rim) -> None:
    rim.change(lambda record: record.with_note(action.text))
