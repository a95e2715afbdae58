"""Everything that an account holds, listed by plain calls: to be compared before and after.

Left out is only what changes by itself: times, events, and what ticks and sweeps write down of
each look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from tests.e2e.outside import Outside

#: Kind of thing, then name, then all that is told of it.
Account = Mapping[str, Mapping[str, Any]]

CLUSTER = "default"
_NOTED = ("/status.json", "sweep.json")


def account(outside: Outside) -> Account:
    """What is there now, of any app and of nobody."""
    finders = (
        _queues, _messages, _services, _tasks, _definitions, _hosts, _fleets, _machines,
        _templates, _alarms, _dashboards, _log_groups, _objects,
    )  # fmt: skip
    return {finder.__name__.strip("_"): dict(finder(outside)) for finder in finders}


def changes(before: Account, after: Account) -> list[str]:
    """What was there before and isn't as it was: kind, name, what it was, what it is."""
    return [
        f"{kind} {name}: {told!r} is now {after[kind].get(name)!r}"
        for kind, things in before.items()
        for name, told in things.items()
        if after[kind].get(name) != told
    ]


def additions(before: Account, after: Account) -> list[tuple[str, str, Any]]:
    """What wasn't there before."""
    return [
        (kind, name, told)
        for kind, things in after.items()
        for name, told in things.items()
        if name not in before[kind]
    ]


Things = Iterator[tuple[str, Any]]


def _pages(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def _tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {str(t.get("Key", t.get("key"))): str(t.get("Value", t.get("value"))) for t in tags}


def _queues(outside: Outside) -> Things:
    """With all attributes, the counts of messages among them."""
    sqs = outside.client("sqs")
    for url in _pages(sqs, "list_queues", "QueueUrls"):
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        yield url, (told, sqs.list_queue_tags(QueueUrl=url).get("Tags", {}))


def _messages(_outside: Outside) -> Things:
    """With their bodies, how often they were received, and whether somebody holds them now."""
    for queue in sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues.values():
        for message in queue._messages:
            told = (queue.name, message.body, message.approximate_receive_count)
            yield str(message.id), (*told, message.visible)


def _services(outside: Outside) -> Things:
    ecs = outside.client("ecs")
    for arn in _pages(ecs, "list_services", "serviceArns", cluster=CLUSTER):
        [told] = ecs.describe_services(cluster=CLUSTER, services=[arn], include=["TAGS"])[
            "services"
        ]
        yield (
            arn,
            {key: value for key, value in told.items() if key not in ("events", "deployments")},
        )


def _tasks(outside: Outside) -> Things:
    """Running ones: to which service they belong, and on which container instance they are."""
    ecs = outside.client("ecs")
    for arn in _pages(ecs, "list_tasks", "taskArns", cluster=CLUSTER):
        [told] = ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
        yield arn, (told["group"], told["containerInstanceArn"], told["lastStatus"])


def _definitions(outside: Outside) -> Things:
    ecs = outside.client("ecs")
    for arn in _pages(ecs, "list_task_definitions", "taskDefinitionArns", status="ACTIVE"):
        yield arn, ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]


def _hosts(outside: Outside) -> Things:
    """Container instances."""
    ecs = outside.client("ecs")
    for arn in _pages(ecs, "list_container_instances", "containerInstanceArns", cluster=CLUSTER):
        found = ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[arn])
        yield arn, found["containerInstances"][0]


def _fleets(outside: Outside) -> Things:
    key = "SpotFleetRequestConfigs"
    for fleet in _pages(outside.client("ec2"), "describe_spot_fleet_requests", key):
        yield fleet["SpotFleetRequestId"], fleet


def _machines(outside: Outside) -> Things:
    for reservation in _pages(outside.client("ec2"), "describe_instances", "Reservations"):
        for machine in reservation["Instances"]:
            told = (machine["State"]["Name"], _tags(machine.get("Tags", [])))
            yield machine["InstanceId"], told


def _templates(outside: Outside) -> Things:
    key = "LaunchTemplates"
    for template in _pages(outside.client("ec2"), "describe_launch_templates", key):
        yield template["LaunchTemplateName"], template


def _alarms(outside: Outside) -> Things:
    for alarm in _pages(outside.client("cloudwatch"), "describe_alarms", "MetricAlarms"):
        yield alarm["AlarmName"], alarm


def _dashboards(outside: Outside) -> Things:
    cloudwatch = outside.client("cloudwatch")
    for board in _pages(cloudwatch, "list_dashboards", "DashboardEntries"):
        told = cloudwatch.get_dashboard(DashboardName=board["DashboardName"])
        tags = cloudwatch.list_tags_for_resource(ResourceARN=told["DashboardArn"])["Tags"]
        yield board["DashboardName"], (told["DashboardBody"], _tags(tags))


def _log_groups(outside: Outside) -> Things:
    for group in _pages(outside.client("logs"), "describe_log_groups", "logGroups"):
        yield group["logGroupName"], group.get("retentionInDays")


def _objects(outside: Outside) -> Things:
    arguments = {"Bucket": outside.bucket}
    for item in _pages(outside.client("s3"), "list_objects_v2", "Contents", **arguments):
        if not item["Key"].endswith(_NOTED):
            yield item["Key"], item["ETag"]
