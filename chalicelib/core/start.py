"""Machines for the jobs there are: right-sized, requested once, never waited for."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from chalicelib.core import keys, watch
from chalicelib.core.actions.ecs import UpdateService
from chalicelib.core.actions.machines import CreateLaunchTemplate, RequestFleet
from chalicelib.core.actions.record import Note, Remember
from chalicelib.core.actions.watch import PutDashboard, PutFile
from chalicelib.core.capacity import capacity
from chalicelib.core.compute import digest
from chalicelib.core.config import RunConfig
from chalicelib.core.fleet import (
    fleet_request,
    launch_template,
    template_name,
    volume_warning,
)
from chalicelib.core.fleet_file import FleetPlan, from_file, from_settings
from chalicelib.core.monitor_file import monitor_file
from chalicelib.core.naming import Names, tags
from chalicelib.core.observation import Account, Observation
from chalicelib.core.on_demand import on_demand_share
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import Fleet, RunRecord
from chalicelib.core.sizing import load_of, machines_wanted
from chalicelib.core.user_data import ecs_config, user_data
from chalicelib.settings import Settings

#: After a request that EC2 gave up, this long passes until the next.
PAUSE = timedelta(minutes=5)


def fleet_plan(record: RunRecord, config: RunConfig, settings: Settings, account: str) -> FleetPlan:
    """The run's fleet file, or what the account offers."""
    if record.fleet_file is not None:
        return from_file(record.fleet_file, config, source="fleet file")
    return from_settings(config, settings, account=account)


def missing_machines(record: RunRecord, config: RunConfig, seen: Observation) -> int:
    """Machines that are wanted, and that no fleet has made or may still make."""
    if not record.start or not record.queue_url or not record.task_definition or record.stuck:
        return 0
    if not record.watched(config.auto_monitor) and _was_asked(record):
        return 0
    if _just_failed(record, seen):
        return 0
    load, found = load_of(record, config, seen), capacity(record, seen)
    # Those that we told to leave are called back first. And a machine that one look doesn't show
    # may be there all the same: the next look tells.
    unsure = max(0, seen.machines_before - sum(view.works for view in seen.instances))
    return max(0, machines_wanted(load) - found.machines - len(found.revivable) - unsure)


def _was_asked(record: RunRecord) -> bool:
    """Whether machines were requested, since startCluster was last given: without a monitor,
    that is the one time that they are."""
    return any(
        fleet.fleet_id and (record.asked_at is None or fleet.requested_at >= record.asked_at)
        for fleet in record.fleets
    )


def _just_failed(record: RunRecord, seen: Observation) -> bool:
    """EC2 gave up the last request a moment ago: the next would fare no better at once."""
    failed = {fleet.fleet_id for fleet in seen.fleets if fleet.state == "failed"}
    last = record.fleets[-1] if record.fleets else None
    return last is not None and last.fleet_id in failed and seen.now - last.requested_at < PAUSE


def unsent(record: RunRecord, now: datetime) -> tuple[Fleet, ...]:
    """Requests that were stored, that AWS hasn't answered, and that are still worth sending."""
    return tuple(
        f for f in record.fleets if not f.fleet_id and not f.abandoned and f.valid_until > now
    )


def decide_start(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """Request what is missing, tell ECS how many containers to keep, draw the dashboard."""
    if not record.start or record.stuck:
        return ()
    plan: list[Action] = []
    waiting = unsent(record, seen.now)
    missing = missing_machines(record, config, seen)
    if seen.account is not None and (waiting or missing > 0):
        plan += _templates(record, config, seen.account)
    plan += [RequestFleet(fleet=fleet) for fleet in waiting]
    if seen.account is not None and missing > 0 and not waiting:
        plan.append(_request(record, config, seen, seen.account, missing))
    if any(fleet.fleet_id for fleet in record.fleets):
        plan += _containers(record, config, seen)
        plan += _dashboard(record, config, seen)
        plan += _files(record, config)
    return tuple(plan)


def _templates(record: RunRecord, config: RunConfig, account: Account) -> list[Action]:
    names = Names.of(config)
    owner = tags(app=record.app, run_id=record.run_id, deployment=record.deployment)
    plan: list[Action] = []
    for index, spec in enumerate(account.fleet.machines):
        image = account.images[spec.image_id]
        warning = volume_warning(config, image)
        if warning and warning not in record.notes:
            plan.append(Note(text=warning))
        name = template_name(names, index)
        if name in account.launch_templates:
            continue
        data = launch_template(
            config,
            spec,
            image,
            kind=record.worker,
            user_data=user_data(cluster=names.cluster, run_id=record.run_id, kind=record.worker),
            tags=owner,
        )
        plan.append(CreateLaunchTemplate(name=name, data=data, tags=owner))
    return plan


def _request(
    record: RunRecord, config: RunConfig, seen: Observation, account: Account, machines: int
) -> Action:
    fleet = fleet_request(
        config,
        account.fleet,
        machines=machines,
        token=fleet_token(record.run_id, len(record.fleets) + 1),
        now=seen.now,
        tags=tags(app=record.app, run_id=record.run_id, deployment=record.deployment),
        before=capacity(record, seen).machines,
        on_demand=on_demand_share(config, record, seen),
    )
    return RequestFleet(fleet=fleet)


def fleet_token(run_id: str, number: int) -> str:
    """The n-th request of a run always has the same token, so that two ticks ask once."""
    return hashlib.sha256(f"{run_id}/{number}".encode()).hexdigest()[:32]


def _containers(record: RunRecord, config: RunConfig, seen: Observation) -> list[Action]:
    """Containers for every machine that may be there; only raised here, lowered by scale-in."""
    wanted = capacity(record, seen).machines * config.tasks_per_machine
    if seen.service is None or seen.service.status != "ACTIVE" or seen.service.desired >= wanted:
        return []
    names = Names.of(config)
    return [UpdateService(cluster=names.cluster, service=names.service, desired=wanted)]


def _dashboard(record: RunRecord, config: RunConfig, seen: Observation) -> list[Action]:
    if not config.create_dashboard:
        return []
    names = Names.of(config)
    if seen.foreign_dashboard:
        note = (
            f"there is a dashboard {names.dashboard} that CellFleet didn't make: it is left as "
            "it is. Delete or rename it to get one for this run"
        )
        return [] if note in record.notes else [Note(text=note)]
    body = watch.dashboard(names, _fleet_ids(record.fleets))
    if record.dashboard == digest({"body": body}):
        return []
    owner = tags(app=record.app, run_id=record.run_id, deployment=record.deployment)
    return [PutDashboard(name=names.dashboard, body=body, tags=owner)]


def _files(record: RunRecord, config: RunConfig) -> list[Action]:
    """The files that DCP's users and tools look for."""
    names = Names.of(config)
    files = (
        PutFile(
            bucket=config.aws_bucket,
            key=keys.ecs_config(record.app),
            body=ecs_config(cluster=names.cluster, run_id=record.run_id),
        ),
        PutFile(
            bucket=config.aws_bucket,
            key=keys.monitor_file(record.app),
            body=monitor_file(record, config, _fleet_ids(record.fleets)[0]),
        ),
    )
    fingerprint = digest({file.key: file.body for file in files})
    if record.files == fingerprint:
        return []
    return [*files, Remember(fields={"files": fingerprint})]


def _fleet_ids(fleets: tuple[Fleet, ...]) -> tuple[str, ...]:
    return tuple(fleet.fleet_id for fleet in fleets if fleet.fleet_id)
