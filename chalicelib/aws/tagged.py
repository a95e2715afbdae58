"""Things as they are now, with the tags that they carry: looked at before anybody decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.aws import cluster as ecs_views
from chalicelib.aws import queue, watch
from chalicelib.aws.clients import Clients
from chalicelib.aws.fleet import NOT_TERMINATED
from chalicelib.aws.traces import Trace, fleets, instances, pairs, templates
from chalicelib.core.naming import TAG_APP, TAG_DEPLOYMENT, TAG_RUN
from chalicelib.core.sweep import Kind, Thing

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

#: EC2 takes at most this many values in one filter.
_VALUES = 200


def look_at(clients: Clients, deployment: str, traces: Iterable[Trace]) -> Iterator[Thing]:
    """What is really there, with the tags that it carries now. One to three calls each."""
    families: dict[str, set[str]] = {}
    for trace in traces:
        match trace.kind:
            case Kind.QUEUE:
                thing = look_at_queue(clients, deployment, trace.name)
            case Kind.SERVICE:
                thing = look_at_service(clients, deployment, trace.where, trace.name)
            case Kind.CLUSTER:
                thing = _cluster(clients, deployment, trace.name)
            case Kind.DASHBOARD:
                thing = look_at_dashboard(clients, deployment, trace.name)
            case Kind.TASK_DEFINITION:
                thing = _task_definition(clients, deployment, trace.name, families)
            case _:
                continue
        if thing is not None:
            yield thing


def look_at_ec2(clients: Clients, deployment: str, run_id: str) -> Iterator[Thing]:
    """The machines, fleets and launch templates of one run, as they are now."""
    ec2 = clients.ec2
    yield from _things_of_instances(ec2, deployment, run_id)
    for fleet in fleets(ec2):
        tags = pairs(fleet.get("Tags", []))
        if tags.get(TAG_RUN) == run_id:
            yield _thing(
                Kind.FLEET,
                fleet["SpotFleetRequestId"],
                tags,
                deployment,
                created_at=fleet.get("CreateTime"),
            )
    for template in templates(ec2, f"tag:{TAG_RUN}", run_id):
        yield _template(template, deployment)


def look_at_queue(clients: Clients, deployment: str, name: str) -> Thing | None:
    """A queue by its exact name. One that gives nothing to dead letters may hold others'."""
    found = queue.look(clients.sqs, name, tags=True)
    if found is None:
        return None
    redrive = "RedrivePolicy" in found.attributes
    return _thing(
        Kind.QUEUE,
        name,
        found.tags,
        deployment,
        where=found.url,
        kept="" if redrive else "a dead-letter queue stays",
    )


def look_at_service(clients: Clients, deployment: str, cluster: str, name: str) -> Thing | None:
    """A service by its exact name; one that is on its way out is gone."""
    found = ecs_views.look_at_service(clients.ecs, cluster, name)
    if found is None or found.status == "DRAINING":
        return None
    return _thing(Kind.SERVICE, name, found.tags, deployment, where=cluster)


def look_at_dashboard(clients: Clients, deployment: str, name: str) -> Thing | None:
    """A dashboard by its exact name."""
    tags = watch.dashboard_tags(clients.cloudwatch, name)
    return None if tags is None else _thing(Kind.DASHBOARD, name, tags, deployment)


def look_at_template(clients: Clients, deployment: str, name: str) -> Thing | None:
    """A launch template by its exact name."""
    found = templates(clients.ec2, "launch-template-name", name)
    return next((_template(template, deployment) for template in found), None)


def terminated(ec2: EC2Client, instance_ids: Iterable[str]) -> set[str]:
    """Which of these machines are terminated, or so long gone that EC2 has forgotten them."""
    asked = sorted(set(instance_ids))
    alive: set[str] = set()
    for start in range(0, len(asked), _VALUES):
        part = asked[start : start + _VALUES]
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "instance-id", "Values": part},
                {"Name": "instance-state-name", "Values": NOT_TERMINATED},
            ]
        )
        for page in pages:
            for reservation in page["Reservations"]:
                alive |= {instance["InstanceId"] for instance in reservation["Instances"]}
    return set(asked) - alive


def _cluster(clients: Clients, deployment: str, name: str) -> Thing | None:
    found = ecs_views.look_at_cluster(clients.ecs, name)
    if found is None:
        return None
    kept = "" if found.unused else "in use"
    return _thing(Kind.CLUSTER, name, found.tags, deployment, kept=kept)


def _task_definition(
    clients: Clients, deployment: str, arn: str, families: dict[str, set[str]]
) -> Thing | None:
    """Deregistered ones keep their tags for ever: only active ones are looked at."""
    family = arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]
    if family not in families:
        listed = clients.ecs.list_task_definitions(
            familyPrefix=family, status="ACTIVE", sort="DESC"
        )
        families[family] = set(listed["taskDefinitionArns"])
    if arn not in families[family]:
        return None
    answer = clients.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    tags = {tag["key"]: tag["value"] for tag in answer.get("tags", [])}
    created = answer["taskDefinition"].get("registeredAt")
    return _thing(Kind.TASK_DEFINITION, arn, tags, deployment, created_at=created)


def _things_of_instances(ec2: EC2Client, deployment: str, run_id: str) -> Iterator[Thing]:
    for instance in instances(ec2, f"tag:{TAG_RUN}", run_id):
        leaving = instance["State"]["Name"] == "shutting-down"
        yield _thing(
            Kind.MACHINE,
            instance["InstanceId"],
            pairs(instance.get("Tags", [])),
            deployment,
            created_at=instance.get("LaunchTime"),
            kept="is shutting down" if leaving else "",
        )


def _template(template: Any, deployment: str) -> Thing:
    return _thing(
        Kind.LAUNCH_TEMPLATE,
        template["LaunchTemplateName"],
        pairs(template.get("Tags", [])),
        deployment,
        created_at=template.get("CreateTime"),
    )


def _thing(kind: Kind, name: str, tags: Mapping[str, str], deployment: str, **known: Any) -> Thing:
    ours = tags.get(TAG_DEPLOYMENT) == deployment and bool(tags.get(TAG_RUN))
    return Thing(
        kind=kind,
        name=name,
        ours=ours,
        app=tags.get(TAG_APP, ""),
        run_id=tags.get(TAG_RUN, ""),
        **known,
    )
