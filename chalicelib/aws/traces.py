"""Where this deployment's tags lead: everything in the account that carries them, or did.

Machines, fleets and launch templates are found by EC2 itself, so that what costs money never
depends on another index. The rest is found by the tagging API, which may be late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.aws.clients import Clients
from chalicelib.aws.errors import is_not_found
from chalicelib.aws.fleet import NOT_TERMINATED
from chalicelib.core.naming import TAG_DEPLOYMENT, TAG_RUN
from chalicelib.core.sweep import Kind

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Something that was found by its tags: the tags may be out of date, and it may be gone."""

    kind: Kind
    name: str
    run_id: str
    where: str = ""


def traces(clients: Clients, deployment: str) -> Iterator[Trace]:
    """Where to look. Calls: one for each 1,000 machines, and for each 100 of everything else."""
    yield from _machines(clients.ec2, deployment)
    yield from _fleets(clients.ec2, deployment)
    yield from _templates(clients.ec2, deployment)


def indexed(clients: Clients, deployment: str) -> Iterator[Trace]:
    """What the tagging API knows of queues, ECS and dashboards."""
    pages = clients.tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": TAG_DEPLOYMENT, "Values": [deployment]}],
        PaginationConfig={"PageSize": 100},
    )
    for page in pages:
        for found in page["ResourceTagMappingList"]:
            tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
            trace = _of_arn(found["ResourceARN"], tags.get(TAG_RUN, ""))
            if trace is not None:
                yield trace


def _of_arn(arn: str, run_id: str) -> Trace | None:
    _, _, service, _, _, rest = arn.split(":", 5)
    kind, _, path = rest.partition("/")
    if service == "sqs":
        return Trace(kind=Kind.QUEUE, name=rest, run_id=run_id)
    if service == "cloudwatch" and kind == "dashboard":
        return Trace(kind=Kind.DASHBOARD, name=path, run_id=run_id)
    if service != "ecs":
        return None
    if kind == "service":
        cluster, _, name = path.rpartition("/")
        return Trace(kind=Kind.SERVICE, name=name, where=cluster or "default", run_id=run_id)
    if kind == "cluster":
        return Trace(kind=Kind.CLUSTER, name=path, run_id=run_id)
    if kind == "task-definition":
        return Trace(kind=Kind.TASK_DEFINITION, name=arn, run_id=run_id)
    return None


def _machines(ec2: EC2Client, deployment: str) -> Iterator[Trace]:
    for instance in instances(ec2, f"tag:{TAG_DEPLOYMENT}", deployment):
        tags = pairs(instance.get("Tags", []))
        yield Trace(kind=Kind.MACHINE, name=instance["InstanceId"], run_id=tags.get(TAG_RUN, ""))


def _fleets(ec2: EC2Client, deployment: str) -> Iterator[Trace]:
    for fleet in fleets(ec2):
        tags = pairs(fleet.get("Tags", []))
        if tags.get(TAG_DEPLOYMENT) == deployment:
            yield Trace(
                kind=Kind.FLEET, name=fleet["SpotFleetRequestId"], run_id=tags.get(TAG_RUN, "")
            )


def _templates(ec2: EC2Client, deployment: str) -> Iterator[Trace]:
    for template in templates(ec2, f"tag:{TAG_DEPLOYMENT}", deployment):
        tags = pairs(template.get("Tags", []))
        yield Trace(
            kind=Kind.LAUNCH_TEMPLATE,
            name=template["LaunchTemplateName"],
            run_id=tags.get(TAG_RUN, ""),
        )


def instances(ec2: EC2Client, name: str, value: str) -> Iterator[Any]:
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": name, "Values": [value]},
            {"Name": "instance-state-name", "Values": NOT_TERMINATED},
        ],
        PaginationConfig={"PageSize": 1000},
    )
    for page in pages:
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]


def fleets(ec2: EC2Client) -> Iterator[Any]:
    """The fleets that may still make machines. EC2 can't filter them by tag."""
    for page in ec2.get_paginator("describe_spot_fleet_requests").paginate():
        for fleet in page["SpotFleetRequestConfigs"]:
            state = fleet["SpotFleetRequestState"]
            if not state.startswith("cancelled") and state != "failed":
                yield fleet


def templates(ec2: EC2Client, name: str, value: str) -> Iterator[Any]:
    pages = ec2.get_paginator("describe_launch_templates").paginate(
        Filters=[{"Name": name, "Values": [value]}]
    )
    try:
        for page in pages:
            yield from page["LaunchTemplates"]
    except ClientError as error:
        if not is_not_found(error):
            raise


def pairs(tags: Any) -> dict[str, str]:
    """EC2's tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}
