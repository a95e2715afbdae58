"""What each action does to a `World`; deleting in the wrong order, or what isn't the run's own,
fails the test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING

from chalicelib.core.actions.ecs import (
    ActivateInstances,
    CreateCluster,
    CreateService,
    DeleteCluster,
    DeleteService,
    DeregisterInstance,
    DeregisterTaskDefinition,
    DrainInstances,
    RegisterTaskDefinition,
    TagService,
    UpdateService,
)
from chalicelib.core.actions.machines import (
    CancelFleet,
    CancelFleets,
    CreateLaunchTemplate,
    DeleteLaunchTemplate,
    RequestFleet,
    ShrinkFleet,
    TerminateInstances,
)
from chalicelib.core.actions.queues import CreateQueue, DeleteQueue, UpdateQueue
from chalicelib.core.actions.record import ChangePhase, Note, Notify, Remember, StartNextStep
from chalicelib.core.actions.watch import (
    CreateLogGroup,
    DeleteAlarms,
    DeleteDashboard,
    DeleteFile,
    PutDashboard,
    PutFile,
)
from chalicelib.core.compute import digest
from chalicelib.core.observation import ClusterView, FleetView, QueueView, ServiceView
from chalicelib.core.run import Fleet, Phase
from tests.core.factories import queue_arn, queue_url, service_arn, task_arn

if TYPE_CHECKING:
    from tests.core.world import World


class Refused(Exception):
    """AWS refuses an action; the next tick tries it again."""


@singledispatch
def carry_out(action: object, _world: World) -> None:
    """Change the world as AWS would be changed. Raises Refused."""
    raise TypeError(f"this world doesn't know how to {action}")


@carry_out.register(CreateQueue)
def _(action: CreateQueue, world: World) -> None:
    view = QueueView(
        url=queue_url(action.name),
        arn=queue_arn(action.name),
        attributes=dict(action.attributes),
        tags=dict(action.tags),
    )
    if action.name == world.names.dead_letter_queue:
        assert world.dead_letter is None
        world.dead_letter = view
    else:
        assert action.name == world.names.queue
        assert world.queue is None
        world.queue = view


@carry_out.register(UpdateQueue)
def _(action: UpdateQueue, world: World) -> None:
    assert world.queue is not None
    assert (action.name, action.url) == (world.names.queue, world.queue.url)
    world.queue = replace(
        world.queue,
        attributes={**world.queue.attributes, **action.attributes},
        tags={**world.queue.tags, **action.tags},
    )


@carry_out.register(DeleteQueue)
def _(action: DeleteQueue, world: World) -> None:
    assert world.queue is not None
    assert action.url == world.queue.url
    assert world.ours(world.queue)
    assert not world.instances, "machines may still read the queue"
    assert not world.container_instances
    world.queue = None


@carry_out.register(CreateLogGroup)
def _(action: CreateLogGroup, world: World) -> None:
    assert action.name not in world.log_groups
    world.log_groups[action.name] = action.days


@carry_out.register(CreateCluster)
def _(action: CreateCluster, world: World) -> None:
    assert world.cluster is None
    world.cluster = ClusterView(
        name=action.name, services=0, instances=0, tasks=0, tags=dict(action.tags)
    )


@carry_out.register(DeleteCluster)
def _(action: DeleteCluster, world: World) -> None:
    assert world.cluster is not None
    assert world.ours(world.cluster)
    assert world.cluster.unused
    assert action.name == world.cluster.name != "default"
    assert world.service is None
    assert not world.container_instances
    world.cluster = None


@carry_out.register(RegisterTaskDefinition)
def _(action: RegisterTaskDefinition, world: World) -> None:
    world.revisions += 1
    arn = task_arn(action.spec["family"], world.revisions)
    world.task_definitions.append(arn)
    world.remember(task_definition=arn, task_digest=action.digest)


@carry_out.register(DeregisterTaskDefinition)
def _(action: DeregisterTaskDefinition, world: World) -> None:
    world.task_definitions.remove(action.arn)


@carry_out.register(CreateService)
def _(action: CreateService, world: World) -> None:
    assert world.service is None
    spec = action.spec
    world.constraints = tuple(spec["placementConstraints"])
    world.service = ServiceView(
        arn=service_arn(spec["cluster"], spec["serviceName"]),
        status="ACTIVE",
        desired=spec["desiredCount"],
        running=0,
        pending=0,
        task_definition=spec["taskDefinition"],
        tags={tag["key"]: tag["value"] for tag in spec["tags"]},
    )


@carry_out.register(UpdateService)
def _(action: UpdateService, world: World) -> None:
    assert world.service is not None
    assert (action.cluster, action.service) == (world.names.cluster, world.names.service)
    world.service = replace(
        world.service,
        desired=world.service.desired if action.desired is None else action.desired,
        task_definition=action.task_definition or world.service.task_definition,
    )
    world.constraints = action.constraints or world.constraints


@carry_out.register(TagService)
def _(action: TagService, world: World) -> None:
    assert world.service is not None
    assert action.arn == world.service.arn
    world.service = replace(world.service, tags={**world.service.tags, **action.tags})


@carry_out.register(DeleteService)
def _(_action: DeleteService, world: World) -> None:
    assert world.service is not None
    assert world.ours(world.service)
    world.service = replace(world.service, status="DRAINING", desired=0)


@carry_out.register(DeregisterInstance)
def _(action: DeregisterInstance, world: World) -> None:
    machine = action.arn.removeprefix("container-instance/")
    assert world.instances.get(machine) in (None, "shutting-down"), "it still works"
    world.container_instances.remove(action.arn)


@carry_out.register(CreateLaunchTemplate)
def _(action: CreateLaunchTemplate, world: World) -> None:
    assert action.name not in world.templates
    world.templates[action.name] = dict(action.tags)


@carry_out.register(DeleteLaunchTemplate)
def _(action: DeleteLaunchTemplate, world: World) -> None:
    del world.templates[action.name]


@carry_out.register(RequestFleet)
def _(action: RequestFleet, world: World) -> None:
    stored = store(world, action.fleet)
    assert stored == action.fleet, "a stored request is sent again unchanged"
    for launch in stored.request.get("LaunchTemplateConfigs", ()):
        if launch["LaunchTemplateSpecification"]["LaunchTemplateName"] not in world.templates:
            raise Refused("no such launch template")
    fleet_id = f"sfr-{stored.token}"
    assert fleet_id not in world.fleets
    world.fleets[fleet_id] = FleetView(
        fleet_id=fleet_id, state="active", target=stored.request["TargetCapacity"]
    )
    world.requests[fleet_id], world.launched[fleet_id] = stored, 0
    answered = stored.model_copy(update={"fleet_id": fleet_id})
    world.remember(fleets=tuple(answered if f == stored else f for f in world.record.fleets))


def store(world: World, wanted: Fleet) -> Fleet:
    """Write a request down before it is sent; the one that is written down is sent."""
    for fleet in world.record.fleets:
        if fleet.token == wanted.token:
            return fleet
    started = world.record.started_at or world.now
    world.remember(fleets=(*world.record.fleets, wanted), started_at=started)
    return wanted


@carry_out.register(CancelFleet)
def _(action: CancelFleet, world: World) -> None:
    view = world.fleets[action.fleet_id]
    state = "cancelled_running" if action.keep_machines else "cancelled_terminating"
    world.fleets[action.fleet_id] = replace(view, state=state)
    if action.keep_machines:
        return
    mine = [name for name in world.instances if name.startswith(f"i-{action.fleet_id}-")]
    _shut_down(world, mine)


@carry_out.register(CancelFleets)
def _(action: CancelFleets, world: World) -> None:
    for name in action.fleet_ids:
        carry_out(CancelFleet(fleet_id=name), world)


@carry_out.register(ShrinkFleet)
def _(action: ShrinkFleet, world: World) -> None:
    view = world.fleets[action.fleet_id]
    assert world.requests[action.fleet_id].type == "maintain", "AWS refuses others"
    assert action.target < view.target
    world.fleets[action.fleet_id] = replace(view, target=action.target)


@carry_out.register(DrainInstances)
def _(action: DrainInstances, world: World) -> None:
    for name in action.instance_ids:
        assert name not in world.draining
        assert f"container-instance/{name}" in world.container_instances
        world.draining[name] = world.now


@carry_out.register(ActivateInstances)
def _(action: ActivateInstances, world: World) -> None:
    world.revived_at = world.now
    for name in action.instance_ids:
        del world.draining[name]


@carry_out.register(TerminateInstances)
def _(action: TerminateInstances, world: World) -> None:
    assert action.instance_ids
    if world.record.phase is Phase.OPEN:
        assert not [n for n in action.instance_ids if world.busy.get(n)], "it holds a job"
    _shut_down(world, action.instance_ids)


def _shut_down(world: World, instances: Iterable[str]) -> None:
    for name in instances:
        assert name in world.instances
        world.instances[name] = "shutting-down"


@carry_out.register(PutDashboard)
def _(action: PutDashboard, world: World) -> None:
    world.dashboards[action.name] = action.body
    world.remember(dashboard=digest({"body": action.body}))


@carry_out.register(DeleteDashboard)
def _(action: DeleteDashboard, world: World) -> None:
    del world.dashboards[action.name]


@carry_out.register(DeleteAlarms)
def _(action: DeleteAlarms, world: World) -> None:
    world.alarms -= set(action.names)


@carry_out.register(PutFile)
def _(action: PutFile, world: World) -> None:
    world.files[f"{action.bucket}/{action.key}"] = action.body


@carry_out.register(DeleteFile)
def _(action: DeleteFile, world: World) -> None:
    del world.files[f"{action.bucket}/{action.key}"]


@carry_out.register(ChangePhase)
def _(action: ChangePhase, world: World) -> None:
    order = {
        Phase.OPEN: [Phase.ENDING],
        Phase.ENDING: [Phase.OPEN, Phase.TEARING_DOWN],
        Phase.TEARING_DOWN: [Phase.FINISHED],
    }
    phase = Phase(action.phase)
    assert phase in order[world.record.phase]
    if phase is Phase.FINISHED:
        assert world.remains() == []
    result = action.result or world.record.result
    world.remember(phase=phase, outcome=action.outcome, result=result)


@carry_out.register(Remember)
def _(action: Remember, world: World) -> None:
    world.remember(**action.fields)


@carry_out.register(Note)
def _(action: Note, world: World) -> None:
    world.record = world.record.with_note(action.text)


@carry_out.register(Notify)
def _(action: Notify, world: World) -> None:
    assert action.kind not in world.record.notified, "told twice"
    world.remember(notified=(*world.record.notified, action.kind))


@carry_out.register(StartNextStep)
def _(action: StartNextStep, world: World) -> None:
    assert world.record.phase is Phase.TEARING_DOWN
    assert action.upload.key not in world.record.went_on, "handed on twice"
    world.remember(went_on=(*world.record.went_on, action.upload.key))
