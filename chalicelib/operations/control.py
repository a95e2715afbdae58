"""What a user asks of a live run: start its machines, watch it to its end, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.aws import queue
from chalicelib.aws.execute import execute
from chalicelib.aws.services import Services
from chalicelib.core.actions.queues import PurgeQueue
from chalicelib.core.config import recorded_config
from chalicelib.core.early_stop import lift
from chalicelib.core.fleet_file import from_file
from chalicelib.core.health import restarted
from chalicelib.core.observation import is_ours
from chalicelib.core.run import STOPPED, Phase, RunRecord
from chalicelib.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    NotReadyError,
    Problem,
)
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
    """Want machines for the jobs there are, from now on; the first are requested at once.

    Raises NotReadyError for a run that is being removed: what waits begins in the next one.
    """
    record = live_run(services, app)
    config = recorded_config(record)
    told: tuple[str, ...] = ()
    if fleet_file is not None:
        told = from_file(fleet_file, config, source=source or "fleet file").warnings

    def want(found: RunRecord) -> RunRecord:
        if not found.accepts:
            raise NotReadyError(
                f"the run {found.run_id} is being removed. A job file that waits begins in a run "
                "of its own soon: start the cluster again then"
            )
        requested = any(fleet.fleet_id for fleet in found.fleets) and not found.stuck
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
                "asked_at": services.now(),
                "fleet_file": fleet_file or found.fleet_file,
                "fleets": fleets,
                "notes": notes,
                **lift(found),
                **restarted(found, services.now()),
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


def scale(services: Services, app: str, machines: int | None) -> RunRecord:
    """Allow the app's live run at most so many machines from now on; None lifts that.

    The monitor's next tick asks for what is missing, or lets go of what is too much.
    Raises NotFoundError, NotReadyError for a run that is being removed, and InputError for more
    machines than the configuration allows.
    """
    record = live_run(services, app)
    most = recorded_config(record).cluster_machines
    if machines is not None and not 1 <= machines <= most:
        raise InputError(
            app,
            [
                Problem(
                    where="machines",
                    found=str(machines),
                    expected=f"must be 1 to {most}, the run's CLUSTER_MACHINES",
                    hint="CLUSTER_MACHINES can be raised for the app's next run",
                )
            ],
        )

    def limit(found: RunRecord) -> RunRecord:
        if not found.accepts:
            raise NotReadyError(f"the run {found.run_id} is being removed: its machines go")
        return found.model_copy(update={"scaled_to": machines})

    return services.runs.change(record.run_id, limit)


def unwatch(services: Services, run_id: str) -> bool:
    """Nobody watches any more. Whether the deployed monitor takes the run to its end all the same."""
    record = services.runs.load(run_id)
    if recorded_config(record).auto_monitor or record.phase is not Phase.OPEN:
        return True
    services.runs.change(run_id, lambda found: found.model_copy(update={"monitored": False}))
    return False


def stop(services: Services, app: str) -> RunRecord | None:
    """End the run now, whatever it still has to do; the next ticks remove everything.

    Its messages are purged first, so that no worker begins another job. A run that is ending, or
    has ended, is left to that; but nothing follows it that hasn't begun yet. None if the app has no run, or its set-up died before it made
    anything. Raises UnreadableError when the record doesn't tell.
    """
    record = services.runs.latest(app)
    if record is None:
        return None

    def end(found: RunRecord) -> RunRecord | None:
        halted = found.halted or any(s.then for s in found.submissions.values())
        if found.phase in (Phase.TEARING_DOWN, Phase.FINISHED):
            return found.model_copy(update={"halted": halted})
        return found.model_copy(
            update={"phase": Phase.ENDING, "outcome": STOPPED, "halted": halted}
        )

    record = services.runs.change(record.run_id, end)
    if record.phase is Phase.ENDING and record.queue_url:
        _purge(services, record)
    return record


def _purge(services: Services, record: RunRecord) -> None:
    found = queue.look_at(services.clients.sqs, record.queue_url, tags=True)
    if found is not None and is_ours(found.tags, app=record.app, deployment=record.deployment):
        name = found.arn.rsplit(":", 1)[-1]
        execute(services, record.run_id, (PurgeQueue(name=name, url=found.url),))
