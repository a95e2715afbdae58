"""EC2: spot fleets, machines, launch templates, images. All that knows of Spot Fleet is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.aws.errors import is_not_found
from chalicelib.core.fleet import Image
from chalicelib.core.naming import TAG_RUN
from chalicelib.core.observation import FleetView, InstanceView
from chalicelib.errors import CellFleetError, ConfigError, Problem

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_ssm import SSMClient

#: Where AWS publishes the id of the current ECS image.
ECS_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
#: AWS tags each machine with the spot fleet that launched it.
_FLEET_TAG = "aws:ec2spot:fleet-request-id"
#: States of machines that still cost money, or are on their way out.
NOT_TERMINATED: list[str] = ["pending", "running", "shutting-down", "stopping", "stopped"]
#: CancelSpotFleetRequests takes at most this many ids.
_CANCELLED = 100
#: What it says of a fleet that is cancelled, or forgotten, already.
_IS_OVER = ("fleetRequestIdDoesNotExist", "fleetRequestNotInCancellableState")


def request(ec2: EC2Client, spec: Mapping[str, Any]) -> str:
    """Send a stored request, byte for byte; its ClientToken makes a repetition harmless."""
    return ec2.request_spot_fleet(SpotFleetRequestConfig=dict(spec))["SpotFleetRequestId"]  # type: ignore[arg-type]


def cancel(ec2: EC2Client, fleet_ids: Sequence[str], *, keep_machines: bool = False) -> None:
    """Cancel fleets and, as a rule, terminate their machines. A fleet that is gone is fine."""
    refused: list[str] = []
    for start in range(0, len(fleet_ids), _CANCELLED):
        answer = ec2.cancel_spot_fleet_requests(
            SpotFleetRequestIds=list(fleet_ids[start : start + _CANCELLED]),
            TerminateInstances=not keep_machines,
        )
        for failed in answer.get("UnsuccessfulFleetRequests", []):
            reason = failed.get("Error", {})
            if reason.get("Code") not in _IS_OVER:
                told = reason.get("Message") or reason.get("Code")
                refused.append(f"{failed.get('SpotFleetRequestId')}: {told}")
    if refused:
        raise CellFleetError("; ".join(refused))


def look_at_fleets(
    ec2: EC2Client, fleet_ids: Iterable[str], *, lost_of: str = ""
) -> tuple[FleetView, ...]:
    """The fleets with these ids; with `lost_of`, also any that carries this run id's tag."""
    known = list(fleet_ids)
    if not known and not lost_of:
        return ()
    arguments: dict[str, Any] = {} if lost_of else {"SpotFleetRequestIds": known}
    found = []
    for page in ec2.get_paginator("describe_spot_fleet_requests").paginate(**arguments):
        for fleet in page["SpotFleetRequestConfigs"]:
            tags = {tag["Key"]: tag["Value"] for tag in fleet.get("Tags", [])}
            if fleet["SpotFleetRequestId"] in known or (lost_of and tags.get(TAG_RUN) == lost_of):
                found.append(
                    FleetView(
                        fleet_id=fleet["SpotFleetRequestId"],
                        state=fleet["SpotFleetRequestState"],
                        target=fleet["SpotFleetRequestConfig"]["TargetCapacity"],
                        activity=fleet.get("ActivityStatus", ""),
                    )
                )
    return tuple(found)


def look_at_instances(ec2: EC2Client, run_id: str) -> tuple[InstanceView, ...]:
    """The run's machines that aren't terminated, by their tag; 1,000 a call."""
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": f"tag:{TAG_RUN}", "Values": [run_id]},
            {"Name": "instance-state-name", "Values": NOT_TERMINATED},
        ],
        PaginationConfig={"PageSize": 1000},
    )
    return tuple(
        _instance(instance)
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    )


def _instance(instance: InstanceTypeDef) -> InstanceView:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    return InstanceView(
        instance_id=instance["InstanceId"],
        state=instance["State"]["Name"],
        launched_at=instance.get("LaunchTime"),
        machine_type=instance.get("InstanceType", ""),
        spot=instance.get("InstanceLifecycle") == "spot",
        fleet_id=tags.get(_FLEET_TAG, ""),
    )


def launch_templates(ec2: EC2Client, run_id: str) -> tuple[str, ...]:
    """Names of the run's launch templates, by their tag."""
    pages = ec2.get_paginator("describe_launch_templates").paginate(
        Filters=[{"Name": f"tag:{TAG_RUN}", "Values": [run_id]}]
    )
    return tuple(
        template["LaunchTemplateName"] for page in pages for template in page["LaunchTemplates"]
    )


def look_at_image(ec2: EC2Client, ssm: SSMClient, image_id: str) -> Image:
    """An AMI; "" means the current ECS image. Raises ConfigError if there is none."""
    wanted = image_id or ssm.get_parameter(Name=ECS_IMAGE)["Parameter"]["Value"]
    try:
        images = ec2.describe_images(ImageIds=[wanted])["Images"]
    except ClientError as error:
        if not is_not_found(error) and "InvalidAMIID" not in str(error):
            raise
        images = []
    if not images:
        raise ConfigError(
            "fleet file",
            [
                Problem(
                    where="ImageId",
                    found=wanted,
                    expected="a machine image (AMI) that exists in this region",
                    hint="leave ImageId out to use the current ECS image",
                )
            ],
        )
    image = images[0]
    return Image(
        image_id=wanted,
        root_device=image.get("RootDeviceName", "/dev/xvda"),
        snapshots={
            mapping["DeviceName"]: mapping["Ebs"].get("VolumeSize", 0)
            for mapping in image.get("BlockDeviceMappings", [])
            if "Ebs" in mapping
        },
    )
