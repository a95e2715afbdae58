"""A tick of one run: look, decide, execute, under the run's own lease.

Nothing is remembered that could be observed; a tick that dies is made good by the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict

from chalicelib.aws import status as status_lease
from chalicelib.aws.execute import Failure, execute
from chalicelib.aws.log import bound
from chalicelib.aws.observe import Memory, follow_up, look
from chalicelib.aws.services import Services
from chalicelib.aws.status import StatusLease
from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances, UpdateService
from chalicelib.core.actions.machines import CancelFleet, ShrinkFleet, TerminateInstances
from chalicelib.core.actions.record import ChangePhase, Note, Notify, Remember
from chalicelib.core.config import RunConfig, recorded_config
from chalicelib.core.cost import dollars, machine_hours
from chalicelib.core.decide import decide
from chalicelib.core.naming import app_of
from chalicelib.core.next_step import outlook
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.sizing import jobs_left
from chalicelib.core.teardown import without
from chalicelib.errors import CellFleetError, LeaseLostError, NotFoundError
from chalicelib.operations.setup import converge
from chalicelib.operations.sweep import tidy

log = Logger(service="cellfleet", child=True)

#: Looks a tick takes at one run: each follows up what the last one made possible.
_ROUNDS = 8
#: Actions that change nothing but the run's record: no look has to follow.
_RECORDED = (ChangePhase, Note, Notify, Remember)
#: What AWS takes longer for than a tick has: while a run goes on, the next one looks.
_SLOW = (
    ActivateInstances,
    CancelFleet,
    DrainInstances,
    ShrinkFleet,
    TerminateInstances,
    UpdateService,
)
_DAMAGED = (
    "the last status couldn't be read (somebody wrote into it?): counts were begun anew, and no "
    "machine that is on its way out is called back"
)


class Status(BaseModel):
    """What the last tick saw of a run; written by the tick alone, read by people and pages."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    phase: Phase
    at: datetime
    jobs: int = 0
    done: int = 0
    dead: int = 0
    failures: int = 0
    #: Failed tries, and dead jobs, by cause.
    failed_by: Mapping[str, int] = {}
    dead_by: Mapping[str, int] = {}
    waiting: int | None = None
    in_flight: int | None = None
    #: Messages in the dead-letter queue, which other apps may share.
    dead_letters: int | None = None
    machines: int = 0
    #: Of those, on their way out: they finish their jobs and take no more.
    leaving: int = 0
    containers: int = 0
    #: Jobs that ended a minute, of late, and when the run ends if that goes on; None if unknown.
    per_minute: float | None = None
    expected_end: datetime | None = None
    #: What a job takes, in seconds.
    seconds: float | None = None
    #: What these machines may cost at most, in dollars an hour: MACHINE_PRICE for each. None where
    #: that isn't known: without that key, or with machines on demand, whose price is EC2's.
    dollars_an_hour: float | None = None
    #: Hours of machines so far, as ticks saw them, and what they may have cost at most.
    machine_hours: float = 0.0
    dollars: float | None = None
    #: What ails its fleet, and why it was given up, if it was.
    health: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    #: What follows this run, or why it doesn't.
    next_steps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    memory: Memory = Memory()


def tick_run(services: Services, run_id: str) -> Status | None:
    """One tick of one run; None if another process is at it, or the run is over.

    What goes wrong is told in the status, and made good by the next tick.
    """
    with bound(run_id=run_id, app=app_of(run_id)):
        return _alone(services, run_id)


def _alone(services: Services, run_id: str) -> Status | None:
    lease = status_lease.take(services.store, run_id, services.owner, services.now)
    if lease is None:
        return None
    try:
        status = _tick(services, run_id, lease)
    except LeaseLostError:
        _overtaken(services, run_id)
        return None
    except Exception as error:
        log.exception("tick failed")
        status = _failed(services, run_id, lease, error)
    try:
        lease.release(status.model_dump(mode="json") if status else None)
    except LeaseLostError:
        _overtaken(services, run_id)
    return status


def _overtaken(services: Services, run_id: str) -> None:
    """This tick stood still until another one took its place. What it made since may be too late."""
    log.warning("this tick outlived its lease")
    try:
        over = services.runs.load(run_id).phase is Phase.FINISHED
    except CellFleetError:
        return  # no record that can be read: a sweep looks after it
    if over:
        tidy(services, run_id)


def _tick(services: Services, run_id: str, lease: StatusLease) -> Status | None:
    last = _last(lease)
    try:
        held = services.runs.hold(run_id)
    except NotFoundError:
        if last is None:  # indexed, but nothing made yet: its set-up died, or is just being born
            return None
        raise
    record = held.record
    if record.phase is Phase.FINISHED:
        services.runs.forget(run_id)
        return None
    config = recorded_config(record)
    seen, memory = look(services, record, config, last.memory if last else Memory())
    if record.phase is Phase.OPEN and record.start and not _is_set_up(record, seen):
        # Its set-up died half-way, or somebody deleted a part of it.
        converge(services, record, renew=lease.renew)
        record = held.reload()
        seen, memory = follow_up(services, record, config, seen, memory)
    failures: tuple[Failure, ...] = ()
    plan = decide(record, config, seen)
    for _ in range(_ROUNDS):
        if not plan:
            break
        failures += execute(services, run_id, plan, held=held, renew=lease.renew)
        done = _untried(plan, {failure.action for failure in failures})
        record, memory = held.record, memory.after(done, services.now())
        if any(failure.blocking for failure in failures) or record.phase is Phase.FINISHED:
            break
        if record.phase is Phase.OPEN and all(isinstance(action, _SLOW) for action in plan):
            break
        tried = {failure.action for failure in failures}
        # What follows from what we did; what changes by itself is looked at again.
        seen = without(seen, plan)
        plan = _untried(decide(record, config, seen), tried)
        if not plan or not all(isinstance(action, _RECORDED) for action in plan):
            seen, memory = follow_up(services, record, config, seen, memory)
            plan = _untried(decide(record, config, seen), tried)
    status = _status(record, config, seen, memory, failures, last)
    return status if not lease.damaged else _told(status, _DAMAGED)


def _untried(plan: Plan, tried: set[str]) -> Plan:
    return tuple(action for action in plan if str(action) not in tried)


def _is_set_up(record: RunRecord, seen: Observation) -> bool:
    return bool(record.queue_url and record.task_definition and seen.queue and seen.service)


def _last(lease: StatusLease) -> Status | None:
    """What the last tick wrote; None if there is nothing that can be read."""
    try:
        return Status.model_validate(lease.found) if lease.found else None
    except ValueError:
        lease.damaged = True
        return None


def _told(status: Status, error: str) -> Status:
    return status.model_copy(update={"errors": (error, *status.errors)})


def _status(
    record: RunRecord,
    config: RunConfig,
    seen: Observation,
    memory: Memory,
    failures: tuple[Failure, ...],
    last: Status | None,
) -> Status:
    hours = machine_hours(
        last.machine_hours if last else 0.0,
        seen_at=last.at if last else None,
        machines=last.machines if last else 0,
        now=seen.now,
        machines_now=len(seen.instances),
    )
    return Status(
        run_id=record.run_id,
        phase=record.phase,
        at=seen.now,
        jobs=record.jobs,
        done=seen.progress.done,
        dead=seen.progress.dead,
        failures=seen.progress.failures,
        failed_by=dict(seen.progress.failed_by),
        dead_by=dict(seen.progress.dead_by),
        waiting=seen.queue.visible if seen.queue else None,
        in_flight=seen.queue.in_flight if seen.queue else None,
        dead_letters=memory.dead_letters,
        machines=len(seen.instances),
        leaving=len(memory.leaving),
        containers=seen.service.running if seen.service else 0,
        per_minute=seen.progress.per_minute,
        expected_end=_expected_end(record, seen),
        seconds=seen.progress.seconds,
        dollars_an_hour=_at_most(config, seen),
        machine_hours=hours,
        dollars=dollars(record, config.machine_price, hours),
        health=((record.stuck,) if record.stuck else ())
        + tuple(ailment.sentence for ailment in seen.ailments),
        errors=tuple(str(failure) for failure in failures),
        next_steps=outlook(record, config),
        notes=record.notes,
        memory=memory,
    )


def _expected_end(record: RunRecord, seen: Observation) -> datetime | None:
    """When the jobs that are left will have ended, at the pace of the last minutes."""
    left = jobs_left(record, seen)
    if not seen.progress.per_minute or not left:
        return None
    return seen.now + timedelta(minutes=left / seen.progress.per_minute)


def _at_most(config: RunConfig, seen: Observation) -> float | None:
    if config.machine_price is None or not all(machine.spot for machine in seen.instances):
        return None
    return round(config.machine_price * len(seen.instances), 4)


def _failed(services: Services, run_id: str, lease: StatusLease, error: Exception) -> Status:
    """The last status with the error in it, so that the failure is seen."""
    now = services.now()
    last = _last(lease) or Status(run_id=run_id, phase=Phase.OPEN, at=now)
    hours = machine_hours(
        last.machine_hours,
        seen_at=last.at,
        machines=last.machines,
        now=now,
        machines_now=last.machines,
    )
    told = {"at": now, "machine_hours": hours, "errors": (f"tick: {error}",)}
    return last.model_copy(update=told)
