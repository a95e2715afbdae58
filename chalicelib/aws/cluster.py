"""ECS: look at clusters, services, container instances and task definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.errors import is_not_found
from chalicelib.core.naming import RUN_ATTRIBUTE
from chalicelib.core.observation import ClusterView, HostView, ServiceView

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

#: Revisions of a task definition that are looked at, one call each.
LATEST_REVISIONS = 10


def look_at_cluster(ecs: ECSClient, name: str) -> ClusterView | None:
    """A cluster that isn't INACTIVE, by its exact name."""
    for cluster in ecs.describe_clusters(clusters=[name], include=["TAGS"])["clusters"]:
        if cluster["status"] != "INACTIVE":
            return ClusterView(
                name=cluster["clusterName"],
                services=cluster.get("activeServicesCount", 0),
                instances=cluster.get("registeredContainerInstancesCount", 0),
                tasks=cluster.get("runningTasksCount", 0) + cluster.get("pendingTasksCount", 0),
                tags=_tags(cluster.get("tags", [])),
            )
    return None


def look_at_service(ecs: ECSClient, cluster: str, name: str) -> ServiceView | None:
    """A service that isn't INACTIVE, by its exact name."""
    try:
        found = ecs.describe_services(cluster=cluster, services=[name], include=["TAGS"])
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    for service in found["services"]:
        if service["status"] != "INACTIVE":
            return ServiceView(
                arn=service["serviceArn"],
                status=service["status"],
                desired=service["desiredCount"],
                running=service["runningCount"],
                pending=service["pendingCount"],
                task_definition=service["taskDefinition"],
                tags=_tags(service.get("tags", [])),
                events=tuple((e["createdAt"], e["message"]) for e in service.get("events", [])),
            )
    return None


def look_at_hosts(ecs: ECSClient, cluster: str, run_id: str) -> tuple[HostView, ...]:
    """The run's machines in the cluster: by attribute, never "the cluster's"; () without cluster.

    The listing is filtered, and the attribute of each machine looked at again. Two calls for
    each hundred.
    """
    try:
        return tuple(_hosts(ecs, cluster, run_id))
    except ClientError as error:
        if is_not_found(error):
            return ()
        raise


def _hosts(ecs: ECSClient, cluster: str, run_id: str) -> Iterator[HostView]:
    pages = ecs.get_paginator("list_container_instances").paginate(
        cluster=cluster,
        filter=f"attribute:{RUN_ATTRIBUTE} == {run_id}",
        PaginationConfig={"PageSize": 100},
    )
    for page in pages:
        listed = page["containerInstanceArns"]
        if not listed:
            continue
        found = ecs.describe_container_instances(cluster=cluster, containerInstances=listed)
        for machine in found["containerInstances"]:
            attributes = {a["name"]: a.get("value") for a in machine.get("attributes", [])}
            if attributes.get(RUN_ATTRIBUTE) == run_id:
                yield HostView(
                    arn=machine["containerInstanceArn"],
                    cluster=cluster,
                    instance_id=machine.get("ec2InstanceId", ""),
                    status=machine.get("status", ""),
                    running=machine.get("runningTasksCount", 0),
                    pending=machine.get("pendingTasksCount", 0),
                    registered_at=machine.get("registeredAt"),
                    connected=machine.get("agentConnected", True),
                )


def task_definitions(
    ecs: ECSClient, family: str, *, known: str = ""
) -> Iterator[tuple[str, dict[str, str] | None]]:
    """ARNs and tags of the latest active revisions of exactly this family.

    The one that is `known` to be ours has None for tags: they aren't asked for. A run registers one revision, seldom two; older ones are others' (DCP never removes its own).
    """
    found = ecs.list_task_definitions(
        familyPrefix=family, status="ACTIVE", sort="DESC", maxResults=LATEST_REVISIONS
    )
    for arn in found["taskDefinitionArns"]:
        if arn == known:
            yield arn, None
        elif arn.rsplit("/", 1)[-1].rsplit(":", 1)[0] == family:
            answer = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
            yield arn, _tags(answer.get("tags", []))


def _tags(tags: object) -> dict[str, str]:
    assert isinstance(tags, list)
    return {tag["key"]: tag["value"] for tag in tags}
