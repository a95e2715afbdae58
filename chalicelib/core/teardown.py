"""The end of a run: everything of its own is removed but results, logs and the dead letters.

Each step stands on its own; what fails is tried again by the next tick, and what is gone
already is fine. Order matters twice: machines before the queue that they read, containers and
instances before their cluster.
"""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.next_step import decide_next_step
from chalicelib.core.observation import Observation, is_ours
from chalicelib.core.plan import (
    Action,
    CancelFleet,
    ChangePhase,
    DeleteAlarms,
    DeleteCluster,
    DeleteDashboard,
    DeleteLaunchTemplate,
    DeleteQueue,
    DeleteService,
    DeregisterInstance,
    DeregisterTaskDefinition,
    Plan,
    TerminateInstances,
    UpdateService,
)
from chalicelib.core.run import Phase, RunRecord

DEFAULT_CLUSTER = "default"


def decide_teardown(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """What is left to remove now; the end of the run when nothing is."""
    plan: list[Action] = [
        *decide_next_step(record, config, seen),
        *_service(record, config, seen),
        *_machines(seen),
        *_watch(config, seen),
        *(DeleteLaunchTemplate(name=name) for name in seen.launch_templates),
        *(DeregisterTaskDefinition(arn=arn) for arn in seen.task_definitions),
    ]
    machines_gone = _machines_gone(seen)
    if machines_gone and seen.queue is not None and _ours(record, seen.queue.tags):
        plan.append(DeleteQueue(name=config.sqs_queue_name, url=seen.queue.url))
    cluster = seen.cluster
    if (
        machines_gone
        and seen.service is None
        and cluster is not None
        and cluster.name != DEFAULT_CLUSTER
        and cluster.unused
        and _ours(record, cluster.tags)
    ):
        plan.append(DeleteCluster(name=cluster.name))
    if not plan and not _still_ending(record, seen):
        plan.append(ChangePhase(phase=Phase.FINISHED, outcome=record.outcome))
    return tuple(plan)


def _ours(record: RunRecord, tags: Mapping[str, str]) -> bool:
    return is_ours(tags, app=record.app, deployment=record.deployment)


def _service(record: RunRecord, config: RunConfig, seen: Observation) -> list[Action]:
    service = seen.service
    if service is None or not _ours(record, service.tags) or service.status == "DRAINING":
        return []
    names = Names.of(config)
    plan: list[Action] = []
    if service.desired > 0:
        plan.append(UpdateService(cluster=names.cluster, service=names.service, desired=0))
    if _machines_gone(seen):
        plan.append(DeleteService(cluster=names.cluster, service=names.service))
    return plan


def _machines_gone(seen: Observation) -> bool:
    return not seen.instances and not seen.hosts


def _machines(seen: Observation) -> list[Action]:
    plan: list[Action] = [
        CancelFleet(fleet_id=fleet.fleet_id) for fleet in seen.fleets if not fleet.over
    ]
    running = tuple(i.instance_id for i in seen.instances if i.state != "shutting-down")
    if running:
        plan.append(TerminateInstances(instance_ids=running))
    if not running:
        plan += [DeregisterInstance(cluster=h.cluster, arn=h.arn) for h in seen.hosts or ()]
    return plan


def _watch(config: RunConfig, seen: Observation) -> list[Action]:
    plan: list[Action] = []
    if seen.alarms:
        plan.append(DeleteAlarms(names=seen.alarms))
    if seen.dashboard and config.clean_dashboard:
        plan.append(DeleteDashboard(name=Names.of(config).dashboard))
    return plan


def _still_ending(record: RunRecord, seen: Observation) -> bool:
    """Something of ours is on its way out; AWS takes a while."""
    service_leaving = seen.service is not None and _ours(record, seen.service.tags)
    return service_leaving or bool(seen.instances) or bool(seen.hosts)
