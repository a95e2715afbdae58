"""The end of a run: everything of its own is removed but results, logs and the dead letters.

Each step stands on its own; what fails is tried again by the next tick, and what is gone
already is fine. Order matters twice: machines before the queue that they read, containers and
instances before their cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from chalicelib.core import keys
from chalicelib.core.actions.ecs import (
    DeleteCluster,
    DeleteService,
    DeregisterInstance,
    DeregisterTaskDefinition,
    UpdateService,
)
from chalicelib.core.actions.machines import CancelFleets, DeleteLaunchTemplate, TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.record import ChangePhase
from chalicelib.core.actions.watch import DeleteAlarms, DeleteDashboard, DeleteFile
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.next_step import decide_next_step
from chalicelib.core.observation import Observation, is_ours
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import Phase, RunRecord

DEFAULT_CLUSTER = "default"
#: So many machines that are gone are deregistered at once, by a call each. With more of them, ECS
#: is given this long, from the beginning of the teardown on, to forget them by itself.
FEW_HOSTS = 20
FORGETS_WITHIN = timedelta(minutes=5)


def decide_teardown(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """What is left to remove now; the end of the run when nothing is."""
    plan: list[Action] = [
        *decide_next_step(record, config, seen),
        *_service(record, config, seen),
        *_machines(record, seen),
        *_dashboard(config, seen),
        *(DeleteLaunchTemplate(name=name) for name in seen.launch_templates),
        *(DeregisterTaskDefinition(arn=arn) for arn in seen.task_definitions),
    ]
    if seen.monitor_file:
        plan.append(DeleteFile(bucket=config.aws_bucket, key=keys.monitor_file(record.app)))
    if _machines_gone(seen):
        plan += _last_things(record, config, seen)
    if not plan and not _still_ending(record, seen):
        plan.append(ChangePhase(phase=Phase.FINISHED, outcome=record.outcome))
    return tuple(plan)


def without(seen: Observation, plan: Plan) -> Observation:
    """What is left after a plan was done, as far as that is sure: machines and services go in
    their own time, and are looked at again."""
    fleets = {
        name for action in plan if isinstance(action, CancelFleets) for name in action.fleet_ids
    }
    queues = {action.url for action in plan if isinstance(action, DeleteQueue)}
    hosts = {action.arn for action in plan if isinstance(action, DeregisterInstance)}
    tasks = {action.arn for action in plan if isinstance(action, DeregisterTaskDefinition)}
    templates = {action.name for action in plan if isinstance(action, DeleteLaunchTemplate)}
    alarms = {name for action in plan if isinstance(action, DeleteAlarms) for name in action.names}
    kinds = {type(action) for action in plan}
    service = seen.service
    for action in plan:
        if isinstance(action, UpdateService) and action.desired is not None and service is not None:
            service = replace(service, desired=action.desired)
    return replace(
        seen,
        service=service,
        fleets=tuple(f for f in seen.fleets if f.fleet_id not in fleets),
        queue=None if seen.queue is not None and seen.queue.url in queues else seen.queue,
        hosts=seen.hosts and tuple(host for host in seen.hosts if host.arn not in hosts),
        task_definitions=tuple(arn for arn in seen.task_definitions if arn not in tasks),
        launch_templates=tuple(n for n in seen.launch_templates if n not in templates),
        alarms=tuple(name for name in seen.alarms if name not in alarms),
        dashboard=seen.dashboard and DeleteDashboard not in kinds,
        monitor_file=seen.monitor_file and DeleteFile not in kinds,
        cluster=None if DeleteCluster in kinds else seen.cluster,
    )


def _ours(record: RunRecord, tags: Mapping[str, str]) -> bool:
    return is_ours(tags, app=record.app, deployment=record.deployment)


def _machines(record: RunRecord, seen: Observation) -> list[Action]:
    plan: list[Action] = []
    open_ = tuple(fleet.fleet_id for fleet in seen.fleets if not fleet.over)
    if open_:
        plan.append(CancelFleets(fleet_ids=open_))
    running = tuple(i.instance_id for i in seen.instances if i.state != "shutting-down")
    if running:
        plan.append(TerminateInstances(instance_ids=running))
    hosts = seen.hosts or ()
    if not seen.instances and (len(hosts) <= FEW_HOSTS or not _forgetting(record, seen)):
        plan += [DeregisterInstance(cluster=h.cluster, arn=h.arn) for h in hosts]
    return plan


def _forgetting(record: RunRecord, seen: Observation) -> bool:
    """ECS forgets machines that are gone by itself, but for those whose agent was silent."""
    return record.result is not None and seen.now - record.result.at < FORGETS_WITHIN


def _service(record: RunRecord, config: RunConfig, seen: Observation) -> list[Action]:
    """No containers any more; the service itself goes when no machine is left."""
    service = seen.service
    if service is None or not _ours(record, service.tags) or service.status == "DRAINING":
        return []
    names = Names.of(config)
    if _machines_gone(seen):
        return [DeleteService(cluster=names.cluster, service=names.service)]
    if service.desired > 0:
        return [UpdateService(cluster=names.cluster, service=names.service, desired=0)]
    return []


def _dashboard(config: RunConfig, seen: Observation) -> list[Action]:
    if not (seen.dashboard and config.clean_dashboard):
        return []
    return [DeleteDashboard(name=Names.of(config).dashboard)]


def _last_things(record: RunRecord, config: RunConfig, seen: Observation) -> list[Action]:
    """What machines read, made or stood in."""
    plan: list[Action] = []
    if seen.queue is not None and _ours(record, seen.queue.tags):
        plan.append(DeleteQueue(name=config.sqs_queue_name, url=seen.queue.url))
    if seen.alarms:
        plan.append(DeleteAlarms(names=seen.alarms))
    cluster = seen.cluster
    if (
        seen.service is None
        and cluster is not None
        and cluster.name != DEFAULT_CLUSTER
        and cluster.unused
        and _ours(record, cluster.tags)
    ):
        plan.append(DeleteCluster(name=cluster.name))
    return plan


def _machines_gone(seen: Observation) -> bool:
    return not seen.instances and not seen.hosts


def _still_ending(record: RunRecord, seen: Observation) -> bool:
    """Something of ours is on its way out, or wasn't looked at yet; AWS takes a while."""
    service_leaving = seen.service is not None and _ours(record, seen.service.tags)
    return service_leaving or not _machines_gone(seen) or not seen.last_things
