"""The health of a fleet: what ails it, for how long, and when it is given up.

What ails is remembered from tick to tick. A fleet that can't work is cancelled after a bounded
time; its jobs stay in the queue, and nothing is requested until the cluster is started again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.actions.machines import CancelFleet, DeleteLaunchTemplate, TerminateInstances
from chalicelib.core.actions.record import Remember
from chalicelib.core.ailment import (
    CONTAINERS,
    MACHINES,
    PATIENCE,
    SLOW,
    WAIT,
    Ailment,
    Evidence,
)
from chalicelib.core.config import RunConfig
from chalicelib.core.container_trouble import WHILE_RUNNING, container_ailments, not_joined
from chalicelib.core.machine_trouble import machine_ailments, refused
from chalicelib.core.notices import STUCK
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import RunRecord
from chalicelib.core.suspicion import (
    CONTAINERS_DUE,
    JOBS_DUE,
    MACHINES_DUE,
    latest_fleet,
    ready,
    suspect_containers,
    suspect_fleet,
)

#: Containers that crash are up between two crashes: their trouble is over when not seen for this
#: long, and any trouble that could not be looked at again is forgotten after the second time.
OVER_AFTER = timedelta(minutes=10)
FORGOTTEN_AFTER = timedelta(hours=2)


def examine(
    record: RunRecord,
    config: RunConfig,
    seen: Observation,
    evidence: Evidence,
    before: tuple[Ailment, ...],
) -> tuple[Ailment, ...]:
    """What ails the fleet now, in the light of what was known and what was read."""
    found = (
        *_machine_troubles(record, config, seen, evidence),
        *_container_troubles(record, config, seen, evidence),
    )
    fresh = {ailment.kind for ailment in found}
    known = {ailment.kind: ailment for ailment in before if _after_restart(record, ailment)}
    lasting = tuple(
        replace(ailment, since=min(ailment.since, known[ailment.kind].since))
        if ailment.kind in known
        else ailment
        for ailment in found
    )
    kept = tuple(
        ailment
        for kind, ailment in known.items()
        if kind not in fresh and not _is_over(ailment, record, config, seen, evidence)
    )
    return (*lasting, *kept)


def _after_restart(record: RunRecord, ailment: Ailment) -> bool:
    return record.restarted_at is None or ailment.since >= record.restarted_at


def _machine_troubles(
    record: RunRecord, config: RunConfig, seen: Observation, evidence: Evidence
) -> tuple[Ailment, ...]:
    if seen.start_problem:
        return (refused(seen.start_problem, config, seen.now),)
    if evidence.events is not None:
        return machine_ailments(evidence.events, config, seen.now)
    last = record.fleets[-1] if record.fleets else None
    if last is not None and last.refusal and not last.abandoned:
        return (refused(last.refusal, config, seen.now),)
    return ()


def _container_troubles(
    record: RunRecord, config: RunConfig, seen: Observation, evidence: Evidence
) -> tuple[Ailment, ...]:
    if evidence.tasks is None:
        return ()
    tasks = [t for t in evidence.tasks if record.restarted_at is None or t.at > record.restarted_at]
    found = container_ailments(tasks, seen.service, config, record.image, seen.now)
    empty = seen.service is not None and seen.service.running + seen.service.pending == 0
    if not found and empty and ready(seen, JOBS_DUE):
        return (not_joined(config, seen.now),)
    return found


def _is_over(
    ailment: Ailment,
    record: RunRecord,
    config: RunConfig,
    seen: Observation,
    evidence: Evidence,
) -> bool:
    """Whether a trouble that wasn't found again has passed, as far as can be told."""
    silent = seen.now - ailment.seen_at
    if silent > FORGOTTEN_AFTER:
        return True
    if ailment.where == CONTAINERS:
        well = bool(ready(seen, CONTAINERS_DUE)) and not suspect_containers(config, seen)
        return silent > OVER_AFTER and (well or evidence.tasks is not None)
    if evidence.events is not None:
        return True
    fleet = latest_fleet(record)
    if fleet is None or not seen.instances:
        return False
    came = len(seen.instances) >= fleet.before + fleet.machines
    due = seen.now - fleet.requested_at >= MACHINES_DUE
    return came or (due and suspect_fleet(record, seen) is None)


def hopeless(record: RunRecord, config: RunConfig, seen: Observation) -> Ailment | None:
    """The trouble for which the fleet is given up: it was found just now, and for too long.

    Machines that are there, or containers that run, may still do the work.
    """
    if record.stuck or not (config.auto_monitor or record.monitored):
        return None
    progress = seen.progress
    no_outcome = progress.done + progress.dead + progress.failures == 0
    idle = seen.service is None or seen.service.running == 0
    now = [ailment for ailment in seen.ailments if ailment.seen_at == seen.now]
    waiting = any(a.where == MACHINES and a.course == WAIT for a in now)
    for ailment in now:
        if ailment.course == WAIT or seen.now - ailment.since < PATIENCE[ailment.course]:
            continue
        if ailment.where == MACHINES and (seen.instances or waiting):
            continue
        if ailment.where == CONTAINERS and not idle and ailment.kind not in WHILE_RUNNING:
            continue
        if ailment.course == SLOW and not no_outcome:
            continue
        return ailment
    return None


def decide_health(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """Give up a fleet that can't work; then nothing of it is left running."""
    if record.stuck:
        running = tuple(i.instance_id for i in seen.instances if i.state != "shutting-down")
        return (
            *(CancelFleet(fleet_id=f.fleet_id) for f in seen.fleets if not f.over),
            *((TerminateInstances(instance_ids=running),) if running else ()),
            *(DeleteLaunchTemplate(name=name) for name in seen.launch_templates),
        )
    ailment = hopeless(record, config, seen)
    if ailment is None:
        return ()
    minutes = PATIENCE[ailment.course] // timedelta(minutes=1)
    sentence = (
        f"the fleet was given up after {minutes} minutes: {ailment.sentence}. No machine runs, "
        "and the jobs wait in the queue"
    )
    return (Remember(fields={"stuck": sentence}),)


def restarted(record: RunRecord, now: datetime) -> dict[str, object]:
    """The fields that let a fleet that was given up be tried again; {} if it wasn't."""
    if not record.stuck:
        return {}
    return {
        "stuck": "",
        "restarted_at": now,
        "fleets": tuple(fleet.abandon() for fleet in record.fleets),
        "notified": tuple(kind for kind in record.notified if kind != STUCK),
    }
