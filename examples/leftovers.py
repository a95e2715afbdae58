"""What of an app is still there, asked of AWS itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Column, Table

if TYPE_CHECKING:
    import boto3

_ENDED_FLEETS = ("cancelled", "failed")


@dataclass(frozen=True)
class Leftover:
    """A kind of thing that costs money or clutters the account, and those that exist."""

    kind: str
    names: tuple[str, ...]


def find_leftovers(session: "boto3.Session", endpoint: str, keep_queue: str) -> list[Leftover]:
    """Everything that a run creates and has to remove, in the whole account.

    `keep_queue` is the dead-letter queue, which apps may share and which therefore stays.
    """
    finders = {
        "queues": _queues(session, endpoint, keep_queue),
        "spot fleet requests": _fleets(session, endpoint),
        "machines": _machines(session, endpoint),
        "ECS services": _services(session, endpoint),
        "alarms": _alarms(session, endpoint),
        "dashboards": _dashboards(session, endpoint),
        "launch templates": _launch_templates(session, endpoint),
    }
    return [Leftover(kind, tuple(names)) for kind, names in finders.items()]


def leftover_table(leftovers: Iterable[Leftover]) -> Table:
    """How many are left of each kind, for a terminal."""
    table = Table("Left in the account", Column("", justify="right"))
    for left in leftovers:
        table.add_row(left.kind, str(len(left.names)), style="red" if left.names else "")
    return table


def _queues(session: "boto3.Session", endpoint: str, keep: str) -> Iterator[str]:
    sqs = session.client("sqs", endpoint_url=endpoint)
    for page in sqs.get_paginator("list_queues").paginate():
        names = (url.rsplit("/", 1)[-1] for url in page.get("QueueUrls", []))
        yield from (name for name in names if name != keep)


def _fleets(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    ec2 = session.client("ec2", endpoint_url=endpoint)
    for page in ec2.get_paginator("describe_spot_fleet_requests").paginate():
        for fleet in page["SpotFleetRequestConfigs"]:
            if not fleet["SpotFleetRequestState"].startswith(_ENDED_FLEETS):
                yield fleet["SpotFleetRequestId"]


def _machines(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    ec2 = session.client("ec2", endpoint_url=endpoint)
    for page in ec2.get_paginator("describe_instances").paginate():
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] != "terminated":
                    yield instance["InstanceId"]


def _services(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    ecs = session.client("ecs", endpoint_url=endpoint)
    for clusters in ecs.get_paginator("list_clusters").paginate():
        for cluster in clusters["clusterArns"]:
            for page in ecs.get_paginator("list_services").paginate(cluster=cluster):
                if page["serviceArns"]:
                    found = ecs.describe_services(cluster=cluster, services=page["serviceArns"])
                    for service in found["services"]:
                        if service["status"] != "INACTIVE":
                            yield service["serviceName"]


def _alarms(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    cloudwatch = session.client("cloudwatch", endpoint_url=endpoint)
    for page in cloudwatch.get_paginator("describe_alarms").paginate():
        yield from (alarm["AlarmName"] for alarm in page["MetricAlarms"])


def _dashboards(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    cloudwatch = session.client("cloudwatch", endpoint_url=endpoint)
    for page in cloudwatch.get_paginator("list_dashboards").paginate():
        yield from (dashboard["DashboardName"] for dashboard in page["DashboardEntries"])


def _launch_templates(session: "boto3.Session", endpoint: str) -> Iterator[str]:
    ec2 = session.client("ec2", endpoint_url=endpoint)
    for page in ec2.get_paginator("describe_launch_templates").paginate():
        yield from (template["LaunchTemplateName"] for template in page["LaunchTemplates"])
