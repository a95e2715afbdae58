"""What a user asks of a live run: start its machines, watch it to its end, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.aws.services import Services
from chalicelib.core.config import parse_keys
from chalicelib.core.early_stop import lift
from chalicelib.core.fleet_file import from_file
from chalicelib.core.run import STOPPED, Phase, RunRecord
from chalicelib.errors import ConflictError, NotFoundError
from chalicelib.operations.tick import Status, tick_run


def live_run(services: Services, app: str) -> RunRecord:
    """The app's live run. Raises NotFoundError."""
    record = services.runs.latest(app)
    if record is None or record.phase is Phase.FINISHED:
        raise NotFoundError(f"the app {app} has no live run: set it up first (python run.py setup)")
    return record


def start(
    services: Services, app: str, fleet_file: Mapping[str, Any] | None, *, source: str = ""
) -> Status | None:
    """Want machines for the jobs there are, from now on; the first are requested at once."""
    record = live_run(services, app)
    config = parse_keys(record.config, record.run_id).config
    told: tuple[str, ...] = ()
    if fleet_file is not None:
        told = from_file(fleet_file, config, source=source or "fleet file").warnings

    def want(found: RunRecord) -> RunRecord:
        requested = any(fleet.fleet_id for fleet in found.fleets)
        changed = fleet_file is not None and found.fleet_file != fleet_file
        if changed and requested:
            raise ConflictError(
                f"the run {found.run_id} already has machines from another fleet file; "
                "let it end, or stop it first"
            )
        notes = tuple(dict.fromkeys((*found.notes, *told)))
        fleets = tuple(f.abandon() for f in found.fleets) if changed else found.fleets
        return found.model_copy(
            update={
                "start": True,
                "fleet_file": fleet_file or found.fleet_file,
                "fleets": fleets,
                "notes": notes,
                **lift(found),
            }
        )

    services.runs.change(record.run_id, want)
    return tick_run(services, record.run_id)


def watch(services: Services, app: str, *, cheapest: bool) -> RunRecord:
    """Mark the run as watched by somebody: it may end, whatever AUTO_MONITOR says."""
    record = live_run(services, app)
    return services.runs.change(
        record.run_id,
        lambda found: found.model_copy(
            update={"monitored": True, "cheapest": found.cheapest or cheapest}
        ),
    )


def stop(services: Services, app: str) -> RunRecord:
    """End the run now, whatever it still has to do; the next ticks remove everything."""
    record = live_run(services, app)

    def end(found: RunRecord) -> RunRecord | None:
        if found.phase in (Phase.TEARING_DOWN, Phase.FINISHED):
            return None
        return found.model_copy(update={"phase": Phase.ENDING, "outcome": STOPPED})

    return services.runs.change(record.run_id, end)
