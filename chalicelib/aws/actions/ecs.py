"""ECS: cluster, task definition, service, container instances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from botocore.exceptions import ClientError

from chalicelib.aws.actions.rim import Rim, carry_out, gone_is_fine
from chalicelib.aws.errors import code
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
from chalicelib.core.compute import ecs_tags
from chalicelib.errors import CellFleetError

#: UpdateContainerInstancesState takes at most this many container instances.
_SET_AT_ONCE = 10


@carry_out.register
def _(action: CreateCluster, rim: Rim) -> None:
    rim.aws.ecs.create_cluster(
        clusterName=action.name,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: DeleteCluster, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.ecs.delete_cluster(cluster=action.name))


@carry_out.register
def _(action: RegisterTaskDefinition, rim: Rim) -> None:
    answer = rim.aws.ecs.register_task_definition(**action.spec)
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    rim.remember({"task_definition": arn, "task_digest": action.digest})


@carry_out.register
def _(action: DeregisterTaskDefinition, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.ecs.deregister_task_definition(taskDefinition=action.arn))


@carry_out.register
def _(action: CreateService, rim: Rim) -> None:
    with _live_definition(rim):
        rim.aws.ecs.create_service(**action.spec)


@carry_out.register
def _(action: UpdateService, rim: Rim) -> None:
    changes: dict[str, Any] = {}
    if action.desired is not None:
        changes["desiredCount"] = action.desired
    if action.task_definition:
        changes["taskDefinition"] = action.task_definition
    if action.constraints:
        changes["placementConstraints"] = list(action.constraints)
    with _live_definition(rim):
        rim.aws.ecs.update_service(cluster=action.cluster, service=action.service, **changes)


@contextmanager
def _live_definition(rim: Rim) -> Iterator[None]:
    """A task definition that somebody deregistered is forgotten: the next round registers anew."""
    try:
        yield
    except ClientError as error:
        if code(error) == "ClientException" and "inactive" in str(error):
            rim.remember({"task_definition": "", "task_digest": ""})
        raise


@carry_out.register
def _(action: TagService, rim: Rim) -> None:
    rim.aws.ecs.tag_resource(
        resourceArn=action.arn,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: DeleteService, rim: Rim) -> None:
    gone_is_fine(
        lambda: rim.aws.ecs.delete_service(
            cluster=action.cluster, service=action.service, force=True
        )
    )


@carry_out.register
def _(action: DeregisterInstance, rim: Rim) -> None:
    gone_is_fine(
        lambda: rim.aws.ecs.deregister_container_instance(
            cluster=action.cluster, containerInstance=action.arn, force=True
        )
    )


@carry_out.register
def _(action: DrainInstances, rim: Rim) -> None:
    _set_state(rim, action.cluster, action.arns, "DRAINING")


@carry_out.register
def _(action: ActivateInstances, rim: Rim) -> None:
    _set_state(rim, action.cluster, action.arns, "ACTIVE")


def _set_state(
    rim: Rim, cluster: str, arns: tuple[str, ...], status: Literal["ACTIVE", "DRAINING"]
) -> None:
    """All that can be set are set; those that are gone are fine. Raises CellFleetError."""
    refused: list[str] = []
    for start in range(0, len(arns), _SET_AT_ONCE):
        answer = rim.aws.ecs.update_container_instances_state(
            cluster=cluster,
            containerInstances=list(arns[start : start + _SET_AT_ONCE]),
            status=status,
        )
        refused += [
            f"{failure.get('arn', '').rsplit('/', 1)[-1]}: {failure.get('reason', '')}"
            for failure in answer.get("failures", [])
            if failure.get("reason") != "MISSING"
        ]
    if refused:
        raise CellFleetError(f"ECS left container instances as they are: {'; '.join(refused)}")
