"""Machines: launch templates and the spot fleet request. Pure dicts, no AWS.

Capacity means machines. With AUTO_MONITOR on, fleets are of Type `request`: what is missing
is requested anew by a later tick, what is terminated is replaced by nobody. Otherwise the
fleet file's own Type is used, for a bounded time.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.compute import WorkerKind, ec2_tags
from chalicelib.core.config import RunConfig
from chalicelib.core.fleet_file import FleetPlan, MachineSpec, Place
from chalicelib.core.naming import Names
from chalicelib.core.run import Fleet

#: How long a one-time request may be filled; its machines outlive it.
REQUEST_VALID = timedelta(minutes=30)
#: How long a fleet may live that no monitor watches over.
UNWATCHED_VALID = timedelta(days=7)
#: The second volume of the first ECS AMI (Amazon Linux 1), where containers live there.
DATA_VOLUME = "/dev/xvdcz"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An AMI: its root device, and the sizes in GB of the snapshots behind its volumes."""

    image_id: str
    root_device: str
    snapshots: Mapping[str, int]


def template_name(names: Names, index: int) -> str:
    """Launch templates of one run; most runs have one."""
    return names.launch_template if index == 0 else f"{names.launch_template}-{index + 1}"


def launch_template(
    config: RunConfig,
    spec: MachineSpec,
    image: Image,
    *,
    kind: WorkerKind,
    user_data: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """LaunchTemplateData: what machines share whatever their type and subnet."""
    machine_tags = ec2_tags({"Name": Names.of(config).machine, **tags})
    data: dict[str, Any] = {
        "ImageId": image.image_id,
        "UserData": base64.b64encode(user_data.encode()).decode(),
        "BlockDeviceMappings": [_volume(config, image)],
        # DCP's images read the metadata service in its old way, from inside a container.
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "optional" if kind == "dcp" else "required",
            "HttpPutResponseHopLimit": 2 if kind == "dcp" else 1,
        },
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": [
            {"ResourceType": kind_of_thing, "Tags": machine_tags}
            for kind_of_thing in ("instance", "volume")
        ],
    }
    profile = spec.instance_profile
    if profile:
        data["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if spec.key_name:
        data["KeyName"] = spec.key_name
    if spec.ebs_optimized is not None:
        data["EbsOptimized"] = spec.ebs_optimized
    if spec.tenancy:
        data["Placement"] = {"Tenancy": spec.tenancy}
    groups = list(spec.security_groups)
    if spec.interfaces:
        interface: dict[str, Any] = {"DeviceIndex": 0, "DeleteOnTermination": True}
        if spec.public_ip is not None:
            interface["AssociatePublicIpAddress"] = spec.public_ip
        if groups:
            interface["Groups"] = groups
        data["NetworkInterfaces"] = [interface]
    elif groups:
        data["SecurityGroupIds"] = groups
    return data


def _volume(config: RunConfig, image: Image) -> dict[str, Any]:
    """The volume that holds containers, sized by EBS_VOL_SIZE, never below its snapshot."""
    device = DATA_VOLUME if DATA_VOLUME in image.snapshots else image.root_device
    size = max(config.ebs_vol_size, image.snapshots.get(device, 0))
    return {
        "DeviceName": device,
        "Ebs": {
            "VolumeSize": size,
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        },
    }


def volume_warning(config: RunConfig, image: Image) -> str:
    """Said when EBS_VOL_SIZE had to be raised; "" otherwise."""
    size = _volume(config, image)["Ebs"]["VolumeSize"]
    if size == config.ebs_vol_size:
        return ""
    return (
        f"EBS_VOL_SIZE is {config.ebs_vol_size} GB, but the snapshot of {image.image_id} holds "
        f"{size} GB: machines get {size} GB"
    )


def fleet_request(
    config: RunConfig,
    plan: FleetPlan,
    *,
    machines: int,
    token: str,
    now: datetime,
    tags: Mapping[str, str],
    before: int = 0,
    on_demand: int = 0,
) -> Fleet:
    """The exact request, to be stored before it is sent. Times are whole seconds, UTC.

    At most `on_demand` of the machines are had at full price, the others as Spot machines.
    """
    watched = config.auto_monitor
    valid_until = (now + (REQUEST_VALID if watched else UNWATCHED_VALID)).replace(microsecond=0)
    names = Names.of(config)
    request: dict[str, Any] = {
        "ClientToken": token,
        "IamFleetRole": plan.fleet_role,
        "AllocationStrategy": plan.allocation,
        "Type": "request" if watched else plan.type,
        "TargetCapacity": machines,
        "ValidUntil": valid_until.isoformat().replace("+00:00", "Z"),
        "TerminateInstancesWithExpiration": not watched,
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateName": template_name(names, index),
                    "Version": "1",
                },
                "Overrides": [
                    _override(place, machine_type)
                    for machine_type in config.machine_type
                    for place in places
                ],
            }
            for index, places in enumerate(plan.machines.values())
        ],
        "TagSpecifications": [
            {
                "ResourceType": "spot-fleet-request",
                "Tags": ec2_tags({"Name": names.app, **tags}),
            }
        ],
    }
    on_demand = min(on_demand, machines)
    if on_demand:
        request["OnDemandTargetCapacity"] = on_demand
    if config.machine_price is not None:
        request["SpotPrice"] = f"{config.machine_price:f}"
        if on_demand:
            request["OnDemandMaxTotalPrice"] = f"{config.machine_price * on_demand:f}"
    return Fleet(
        token=token,
        machines=machines,
        before=before,
        on_demand=on_demand,
        request=request,
        requested_at=now,
        valid_until=valid_until,
    )


def _override(place: Place, machine_type: str) -> dict[str, str]:
    override = {"InstanceType": machine_type}
    if place.subnet:
        override["SubnetId"] = place.subnet
    if place.zone:
        override["AvailabilityZone"] = place.zone
    return override
