"""Machines that aren't wanted any more leave, one step a tick, and no busy worker is stopped.

    surplus      requests that are still open are closed first: what never came costs nothing
    DRAINING     ECS stops the tasks that hold no job, protected ones finish
    terminated   when a later tick finds it DRAINING without a task

Candidates are machines with the run's tag; those that ECS knows bear the run's attribute, too.
What ECS should keep running is lowered only to what is running, so that it picks no victim.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances, UpdateService
from chalicelib.core.actions.machines import CancelFleet, ShrinkFleet, TerminateInstances
from chalicelib.core.capacity import (
    ACTIVE,
    MAINTAIN,
    Capacity,
    capacity,
    open_fleets,
    outstanding,
)
from chalicelib.core.config import RunConfig
from chalicelib.core.faulty import faulty
from chalicelib.core.naming import Names
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import RunRecord
from chalicelib.core.sizing import load_of, machines_wanted

#: After the order to drain, workers without a job end within half a minute.
DRAIN_FOR = timedelta(seconds=45)
#: For so long after machines were called back, none is told to leave.
SETTLE = timedelta(minutes=3)


def decide_scale_in(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """What leaves now, and what comes back."""
    if not record.start or not record.watched(config.auto_monitor):
        return ()
    found = capacity(record, seen)
    wanted = machines_wanted(load_of(record, config, seen))
    gone = _gone(seen, found)
    plan: list[Action] = []
    if gone:
        plan.append(TerminateInstances(instance_ids=gone))
    if wanted > found.machines:
        plan += _call_back(config, found, wanted - found.machines)
    elif wanted < found.machines and not _settling(seen):
        plan += _let_go(record, config, seen, found, wanted, gone)
    return (*plan, *_containers(config, seen, found, wanted))


def surplus(record: RunRecord, config: RunConfig, seen: Observation) -> int:
    """Machines that are there and not wanted: the reason to look at what they hold."""
    if not record.start or not record.watched(config.auto_monitor):
        return 0
    found = capacity(record, seen)
    wanted = machines_wanted(load_of(record, config, seen))
    return max(0, len(found.active) - wanted)


def _settling(seen: Observation) -> bool:
    """Machines were called back just now: what is wanted swings."""
    return seen.revived_at is not None and seen.now - seen.revived_at < SETTLE


def _gone(seen: Observation, found: Capacity) -> tuple[str, ...]:
    """Machines that are empty after draining, and those that don't work."""
    since = seen.leaving_since
    empty = (
        host.instance_id
        for host in found.leaving
        if not host.busy and seen.now - since.get(host.instance_id, seen.now) >= DRAIN_FOR
    )
    return tuple(dict.fromkeys((*empty, *faulty(seen))))


def _call_back(config: RunConfig, found: Capacity, missing: int) -> list[Action]:
    """Machines on their way out are here already: those that hold most tasks first."""
    back = sorted(found.revivable, key=lambda host: -(host.running + host.pending))[:missing]
    if not back:
        return []
    return [
        ActivateInstances(
            cluster=Names.of(config).cluster,
            arns=tuple(host.arn for host in back),
            instance_ids=tuple(host.instance_id for host in back),
        )
    ]


def _let_go(
    record: RunRecord,
    config: RunConfig,
    seen: Observation,
    found: Capacity,
    wanted: int,
    gone: tuple[str, ...],
) -> list[Action]:
    closing = _close(record, seen, found, wanted)
    if any(isinstance(action, ShrinkFleet) for action in closing):
        return closing  # while its target is higher, the fleet would replace what leaves
    active = [view.instance_id for view in found.active if view.instance_id not in gone]
    surplus = len(active) - wanted
    if surplus <= 0 or seen.hosts is None:
        return closing
    hosts = {host.instance_id: host for host in seen.hosts}
    unknown = tuple(name for name in active if name not in hosts)[:surplus]
    registered = [hosts[name] for name in active if name in hosts]
    able = [host for host in registered if host.status == ACTIVE and _may_drain(record, host.busy)]
    # Silent ones first, then the emptiest.
    able.sort(key=lambda host: (host.connected, host.running + host.pending, host.instance_id))
    leaving = able[: surplus - len(unknown)]
    plan = list(closing)
    if unknown:
        plan.append(TerminateInstances(instance_ids=unknown))
    if leaving:
        plan.append(
            DrainInstances(
                cluster=Names.of(config).cluster,
                arns=tuple(host.arn for host in leaving),
                instance_ids=tuple(host.instance_id for host in leaving),
            )
        )
    return plan


def _may_drain(record: RunRecord, busy: bool) -> bool:
    """DCP's workers don't ask ECS for protection: draining would stop their jobs."""
    return record.worker != "dcp" or not busy


def _close(record: RunRecord, seen: Observation, found: Capacity, wanted: int) -> list[Action]:
    """Requests that would bring machines that nobody wants, newest first."""
    open_ = [fleet for fleet in reversed(open_fleets(record, seen)) if fleet.fleet_id]
    plan: list[Action] = []
    targets = {view.fleet_id: view.target for view in seen.fleets}
    kept = {f.fleet_id: targets.get(f.fleet_id, f.machines) for f in open_ if f.type == MAINTAIN}
    too_many = sum(kept.values()) - wanted
    excess = found.machines - wanted
    for fleet in open_:
        name = fleet.fleet_id
        if fleet.type == MAINTAIN:
            less = max(0, min(too_many, kept[name]))
            too_many -= less
            if less:
                plan.append(ShrinkFleet(fleet_id=name, target=kept[name] - less))
        elif 0 < (coming := outstanding(fleet, record, seen)) <= excess:
            excess -= coming
            plan.append(CancelFleet(fleet_id=name, keep_machines=True))
    return plan


def _containers(config: RunConfig, seen: Observation, found: Capacity, wanted: int) -> list[Action]:
    """Lower what ECS should keep running, never below what it runs."""
    service = seen.service
    if service is None or service.status != "ACTIVE":
        return []
    needed = max(found.machines, wanted) * config.tasks_per_machine
    desired = max(needed, service.running + service.pending)
    if service.desired <= desired:
        return []
    names = Names.of(config)
    return [UpdateService(cluster=names.cluster, service=names.service, desired=desired)]
