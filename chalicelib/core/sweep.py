"""What is left in the account without a live run: what goes, what stays, and why.

Only what carries our tags is ever removed, and only when its run is finished for a while: the
end of a run was seen to be clean, so what shows up later (a machine that a fleet brought late, a
queue that a dying process made) is nobody's. A run whose record is gone or can't be read can't
be asked: its machines cost money and go after some hours, everything else is shown until
somebody says that it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from chalicelib.core.actions.ecs import DeleteCluster, DeleteService, DeregisterTaskDefinition
from chalicelib.core.actions.machines import CancelFleet, DeleteLaunchTemplate, TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.watch import DeleteAlarms, DeleteDashboard
from chalicelib.core.config import RunConfig
from chalicelib.core.plan import Action
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.teardown import DEFAULT_CLUSTER

#: How long after its run's end, and after it was made itself, a thing is left alone.
GRACE = timedelta(minutes=30)
#: The same for machines whose run has no record that can be read.
LOST_GRACE = timedelta(hours=6)


class Kind(StrEnum):
    """What a thing is; in the order in which things go."""

    FLEET = "spot fleet"
    MACHINE = "machine"
    SERVICE = "service"
    ALARM = "alarm"
    DASHBOARD = "dashboard"
    TASK_DEFINITION = "task definition"
    LAUNCH_TEMPLATE = "launch template"
    QUEUE = "queue"
    CLUSTER = "cluster"


#: These cost money by the hour, and are a run's own whatever the app does meanwhile.
_OWN = (Kind.FLEET, Kind.MACHINE)
_ORDER = tuple(Kind)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing that stands in the account. `ours`: it carries this deployment's tags.

    `name` is what it is deleted by: an id, an exact name, an ARN. `where` is a queue's address or
    a service's cluster. `kept`: why it stays whatever its run does; "" if nothing speaks for it.
    """

    kind: Kind
    name: str
    ours: bool
    app: str = ""
    run_id: str = ""
    where: str = ""
    created_at: datetime | None = None
    kept: str = ""


class RunState(StrEnum):
    LIVE = "live"
    FINISHED = "finished"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as its record tells; without `record` where it is missing or can't be read.

    `busy`: another run of its app is live.
    """

    state: RunState
    record: RunRecord | None = None
    config: RunConfig | None = None
    busy: bool = False

    @classmethod
    def of(cls, record: RunRecord, config: RunConfig, *, busy: bool) -> RunView:
        finished = record.phase is Phase.FINISHED and record.ended_at is not None
        state = RunState.FINISHED if finished else RunState.LIVE
        return cls(state=state, record=record, config=config, busy=busy)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a thing: the action that removes it, or None, and why."""

    thing: Thing
    action: Action | None
    reason: str


def decide_sweep(
    things: Iterable[Thing],
    run: RunView,
    now: datetime,
    *,
    lost: bool = False,
    grace: timedelta = GRACE,
) -> tuple[Verdict, ...]:
    """What becomes of the things of one run, in the order in which they are to go.

    `lost`: somebody says that nothing of a run without a record is needed any more. `grace`: how
    long after its end a finished run may still have things.
    """
    everything = sorted(things, key=lambda thing: _ORDER.index(thing.kind))
    machines = any(thing.kind is Kind.MACHINE for thing in everything)
    verdicts = []
    for thing in everything:
        reason = _stays(thing, run, now, lost=lost, grace=grace)
        if not reason and machines and thing.kind in (Kind.QUEUE, Kind.CLUSTER):
            reason = "goes when the run's machines are gone"
        action = None if reason else removal(thing)
        verdicts.append(Verdict(thing=thing, action=action, reason=reason or _why(run)))
    return tuple(verdicts)


def look_alike(thing: Thing) -> Verdict:
    """Something that has one of our names and not our tags."""
    return Verdict(thing=thing, action=None, reason="has our name but not our tags: left alone")


def stale_alarm(app: str, instance_id: str, name: str, *, known: bool, gone: bool) -> Verdict:
    """The alarm that a worker of DCP's image made for its machine: it can't be tagged.

    `known`: a run of this app lists the machine as its own; `gone`: the machine is terminated.
    """
    thing = Thing(kind=Kind.ALARM, name=name, ours=known, app=app)
    if known and gone:
        return Verdict(thing=thing, action=removal(thing), reason=f"machine {instance_id} is gone")
    if known:
        return Verdict(thing=thing, action=None, reason=f"machine {instance_id} is still there")
    return look_alike(thing)


def removal(thing: Thing) -> Action:
    """The action that removes a thing."""
    match thing.kind:
        case Kind.FLEET:
            return CancelFleet(fleet_id=thing.name)
        case Kind.MACHINE:
            return TerminateInstances(instance_ids=(thing.name,))
        case Kind.SERVICE:
            return DeleteService(cluster=thing.where, service=thing.name)
        case Kind.ALARM:
            return DeleteAlarms(names=(thing.name,))
        case Kind.DASHBOARD:
            return DeleteDashboard(name=thing.name)
        case Kind.TASK_DEFINITION:
            return DeregisterTaskDefinition(arn=thing.name)
        case Kind.LAUNCH_TEMPLATE:
            return DeleteLaunchTemplate(name=thing.name)
        case Kind.QUEUE:
            return DeleteQueue(name=thing.name, url=thing.where)
        case Kind.CLUSTER:
            return DeleteCluster(name=thing.name)
    assert_never(thing.kind)


def _stays(thing: Thing, run: RunView, now: datetime, *, lost: bool, grace: timedelta) -> str:
    """Why a thing stays, for now or for good; "" if it goes."""
    if not thing.ours:
        return look_alike(thing).reason
    if run.state is RunState.LIVE:
        return "belongs to a live run"
    if run.busy and thing.kind not in _OWN:
        return "its app has a live run, which removes it"
    if thing.kind is Kind.CLUSTER and thing.name == DEFAULT_CLUSTER:
        return "the default cluster is never deleted"
    if thing.kept:
        return thing.kept
    if run.record is None or run.config is None:
        return _lost(thing, run, now, lost=lost)
    return _finished(thing, run.record, run.config, now, grace)


def _finished(
    thing: Thing, record: RunRecord, config: RunConfig, now: datetime, grace: timedelta
) -> str:
    if thing.kind is Kind.DASHBOARD and not config.clean_dashboard:
        return "CLEAN_DASHBOARD is off"
    if thing.kind is Kind.QUEUE and thing.name != config.sqs_queue_name:
        return "isn't the run's job queue"
    since = max(moment for moment in (record.ended_at, thing.created_at) if moment is not None)
    if now - since < grace:
        return f"goes {_minutes(grace)} after the end of its run"
    return ""


def _lost(thing: Thing, run: RunView, now: datetime, *, lost: bool) -> str:
    if lost:
        return ""
    what = "has no record" if run.state is RunState.MISSING else "has a record that can't be read"
    if thing.kind not in _OWN:
        return f"its run {what}: python run.py sweep --lost removes it"
    if thing.created_at is None or now - thing.created_at < LOST_GRACE:
        return f"its run {what}: goes {_minutes(LOST_GRACE)} after its start"
    return ""


def _why(run: RunView) -> str:
    if run.record is None:
        return f"its run's record is {run.state}"
    return f"its run ended at {run.record.ended_at:%Y-%m-%d %H:%M} UTC"


def _minutes(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"


def in_one_go(verdicts: Iterable[Verdict]) -> tuple[Action, ...]:
    """The actions, machines together in as few calls as can be."""
    plan: list[Action] = []
    machines: list[str] = []
    for verdict in verdicts:
        if isinstance(verdict.action, TerminateInstances):
            machines += verdict.action.instance_ids
        elif verdict.action is not None:
            plan.append(verdict.action)
    batches = [tuple(machines[i : i + 1000]) for i in range(0, len(machines), 1000)]
    fleets: list[Action] = [action for action in plan if isinstance(action, CancelFleet)]
    others = [action for action in plan if not isinstance(action, CancelFleet)]
    return (*fleets, *(TerminateInstances(instance_ids=batch) for batch in batches), *others)


def table(verdicts: Iterable[Verdict], *, dry_run: bool) -> Iterator[str]:
    """The verdicts as lines of a table, what goes first."""
    rows = [
        (
            ("would go" if dry_run else "removed") if verdict.action is not None else "stays",
            str(verdict.thing.kind),
            verdict.thing.name.rsplit("/", 1)[-1],
            verdict.reason,
        )
        for verdict in sorted(verdicts, key=lambda verdict: verdict.action is None)
    ]
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield f"{'  '.join(cells)}  {row[3]}"
