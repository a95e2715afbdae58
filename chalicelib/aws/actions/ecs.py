"""ECS: cluster, task definition, service, container instances."""

from __future__ import annotations

from typing import Any

from chalicelib.aws.actions.rim import Rim, carry_out, gone_is_fine
from chalicelib.core import plan
from chalicelib.core.compute import ecs_tags


@carry_out.register
def _(action: plan.CreateCluster, rim: Rim) -> None:
    rim.aws.ecs.create_cluster(
        clusterName=action.name,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: plan.DeleteCluster, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.ecs.delete_cluster(cluster=action.name))


@carry_out.register
def _(action: plan.RegisterTaskDefinition, rim: Rim) -> None:
    answer = rim.aws.ecs.register_task_definition(**action.spec)
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    rim.remember({"task_definition": arn, "task_digest": action.digest})


@carry_out.register
def _(action: plan.DeregisterTaskDefinition, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.ecs.deregister_task_definition(taskDefinition=action.arn))


@carry_out.register
def _(action: plan.CreateService, rim: Rim) -> None:
    rim.aws.ecs.create_service(**action.spec)


@carry_out.register
def _(action: plan.UpdateService, rim: Rim) -> None:
    changes: dict[str, Any] = {}
    if action.desired is not None:
        changes["desiredCount"] = action.desired
    if action.task_definition:
        changes["taskDefinition"] = action.task_definition
    if action.constraints:
        changes["placementConstraints"] = list(action.constraints)
    rim.aws.ecs.update_service(cluster=action.cluster, service=action.service, **changes)


@carry_out.register
def _(action: plan.TagService, rim: Rim) -> None:
    rim.aws.ecs.tag_resource(
        resourceArn=action.arn,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: plan.DeleteService, rim: Rim) -> None:
    gone_is_fine(
        lambda: rim.aws.ecs.delete_service(
            cluster=action.cluster, service=action.service, force=True
        )
    )


@carry_out.register
def _(action: plan.DeregisterInstance, rim: Rim) -> None:
    gone_is_fine(
        lambda: rim.aws.ecs.deregister_container_instance(
            cluster=action.cluster, containerInstance=action.arn, force=True
        )
    )
