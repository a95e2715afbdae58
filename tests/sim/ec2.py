"""EC2: launch templates, spot fleets of both types, machines that come late, go, or never come."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ParamValidationError

from tests.sim.errors import aws_error

if TYPE_CHECKING:
    from tests.sim.world import World

FLEET_TAG = "aws:ec2spot:fleet-request-id"
#: How often a fleet looks for capacity, in seconds.
_FILL = 20.0
#: How long a terminated machine is still described, in seconds.
_REMEMBERED = 3600.0


def from_tags(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def to_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclass
class Machine:
    instance_id: str
    state: str
    tags: dict[str, str]
    fleet: str
    user_data: str
    launched: datetime
    born: float
    ended: float | None = None
    #: The last sign of life that a worker left on the host, or the boot.
    alive: float = 0.0
    spot: bool = True
    #: Spot takes it back in two minutes.
    noticed: bool = False

    @property
    def there(self) -> bool:
        return self.state in ("pending", "running")


@dataclass
class Fleet:
    fleet_id: str
    request: dict[str, Any]
    tags: dict[str, str]
    valid_until: float
    created: datetime
    state: str = "active"
    target: int = 0
    launched: int = 0
    history: list[tuple[datetime, str, str, str]] = field(default_factory=list)

    @property
    def maintain(self) -> bool:
        return self.request.get("Type") == "maintain"


@dataclass
class Template:
    name: str
    data: dict[str, Any]
    tags: dict[str, str]
    created: datetime


class EC2:
    def __init__(self, world: World):
        self._world = world
        self.templates: dict[str, Template] = {}
        self.fleets: dict[str, Fleet] = {}
        self.machines: dict[str, Machine] = {}
        self._made = 0
        world.time.every(_FILL, self._fill)

    # --- for the world ---------------------------------------------------------------------------

    def terminate(self, machine: Machine) -> None:
        """It begins to shut down now, and is terminated a little later."""
        if machine.state in ("shutting-down", "terminated"):
            return
        world = self._world
        machine.state, machine.ended = "shutting-down", world.time.now
        world.ecs.machine_ends(machine)

        def end() -> None:
            machine.state = "terminated"

        world.time.after(world.chance.uniform(5, world.laws.shutdown), end)

    def of_fleet(self, fleet_id: str) -> list[Machine]:
        return [m for m in self.machines.values() if m.fleet == fleet_id and m.there]

    def there(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.there]

    # --- launch templates ------------------------------------------------------------------------

    def create_launch_template(
        self,
        LaunchTemplateName: str,
        LaunchTemplateData: dict[str, Any],
        TagSpecifications: list[dict[str, Any]],
    ) -> dict[str, Any]:
        if LaunchTemplateName in self.templates:
            raise aws_error(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "Launch template name already in use.",
            )
        tags = {k: v for spec in TagSpecifications for k, v in from_tags(spec["Tags"]).items()}
        self.templates[LaunchTemplateName] = Template(
            LaunchTemplateName,
            LaunchTemplateData,
            tags,
            self._world.time.moment().replace(microsecond=0),
        )
        return {"LaunchTemplate": self._template(self.templates[LaunchTemplateName])}

    def describe_launch_templates(
        self,
        Filters: list[dict[str, Any]] | None = None,
        LaunchTemplateNames: list[str] | None = None,
        MaxResults: int = 200,
        NextToken: str = "",
    ) -> dict[str, Any]:
        for name in LaunchTemplateNames or []:
            if name not in self.templates:
                raise _no_template(name)
        found = [
            template
            for template in self.templates.values()
            if _by_tags(template.tags, Filters, name=template.name)
            and (LaunchTemplateNames is None or template.name in LaunchTemplateNames)
        ]
        page, answer = self._world.paged(found, NextToken, MaxResults, "NextToken")
        return {"LaunchTemplates": [self._template(template) for template in page], **answer}

    def delete_launch_template(self, LaunchTemplateName: str) -> dict[str, Any]:
        if LaunchTemplateName not in self.templates:
            raise _no_template(LaunchTemplateName)
        return {"LaunchTemplate": self._template(self.templates.pop(LaunchTemplateName))}

    def _template(self, template: Template) -> dict[str, Any]:
        return {
            "LaunchTemplateName": template.name,
            "CreateTime": template.created,
            "Tags": to_tags(template.tags),
        }

    # --- spot fleets -----------------------------------------------------------------------------

    def request_spot_fleet(self, SpotFleetRequestConfig: dict[str, Any]) -> dict[str, Any]:
        request = json.loads(json.dumps(SpotFleetRequestConfig))
        token = request["ClientToken"]
        for fleet in self.fleets.values():
            if fleet.request["ClientToken"] == token:
                if fleet.request != request:
                    raise aws_error("IdempotentParameterMismatch", "Same token, another request")
                return {"SpotFleetRequestId": fleet.fleet_id}
        until = datetime.fromisoformat(request["ValidUntil"])
        now = self._world.time.moment()
        if until <= now:
            raise aws_error("InvalidParameterValue", "ValidUntil is in the past")
        for launch in request["LaunchTemplateConfigs"]:
            name = launch["LaunchTemplateSpecification"]["LaunchTemplateName"]
            if name not in self.templates:
                raise _no_template(name)
        self._made += 1
        fleet_id = f"sfr-{self._made:04d}"
        self.fleets[fleet_id] = Fleet(
            fleet_id,
            request,
            {
                k: v
                for spec in request.get("TagSpecifications", [])
                for k, v in from_tags(spec["Tags"]).items()
            },
            self._world.time.now + (until - now).total_seconds(),
            now.replace(microsecond=0),
            target=request["TargetCapacity"],
        )
        return {"SpotFleetRequestId": fleet_id}

    def describe_spot_fleet_requests(
        self,
        SpotFleetRequestIds: list[str] | None = None,
        MaxResults: int = 1000,
        NextToken: str = "",
    ) -> dict[str, Any]:
        for fleet_id in SpotFleetRequestIds or []:
            if fleet_id not in self.fleets:
                raise aws_error(
                    "InvalidSpotFleetRequestId.NotFound", f"The {fleet_id} does not exist"
                )
        found = [
            fleet
            for fleet in self.fleets.values()
            if SpotFleetRequestIds is None or fleet.fleet_id in SpotFleetRequestIds
        ]
        page, answer = self._world.paged(found, NextToken, MaxResults, "NextToken")
        return {"SpotFleetRequestConfigs": [self._fleet(fleet) for fleet in page], **answer}

    def _fleet(self, fleet: Fleet) -> dict[str, Any]:
        full = len(self.of_fleet(fleet.fleet_id)) >= fleet.target
        return {
            "SpotFleetRequestId": fleet.fleet_id,
            "SpotFleetRequestState": fleet.state,
            "ActivityStatus": "fulfilled" if full else "pending_fulfillment",
            "SpotFleetRequestConfig": {**fleet.request, "TargetCapacity": fleet.target},
            "CreateTime": fleet.created,
            "Tags": to_tags(fleet.tags),
        }

    def cancel_spot_fleet_requests(
        self, SpotFleetRequestIds: list[str], TerminateInstances: bool
    ) -> dict[str, Any]:
        done, failed = [], []
        for fleet_id in SpotFleetRequestIds:
            fleet = self.fleets.get(fleet_id)
            if fleet is None:
                error = {"Code": "fleetRequestIdDoesNotExist", "Message": "no such fleet"}
                failed.append({"SpotFleetRequestId": fleet_id, "Error": error})
                continue
            before = fleet.state
            self.end_fleet(fleet, terminate=TerminateInstances)
            done.append(
                {
                    "SpotFleetRequestId": fleet_id,
                    "PreviousSpotFleetRequestState": before,
                    "CurrentSpotFleetRequestState": fleet.state,
                }
            )
        return {"SuccessfulFleetRequests": done, "UnsuccessfulFleetRequests": failed}

    def modify_spot_fleet_request(
        self,
        SpotFleetRequestId: str,
        TargetCapacity: int,
        ExcessCapacityTerminationPolicy: str = "default",
    ) -> dict[str, Any]:
        if not isinstance(TargetCapacity, int):  # boto3 itself looks
            raise ParamValidationError(report="Invalid type for parameter TargetCapacity")
        fleet = self.fleets[SpotFleetRequestId]
        if not fleet.maintain:
            raise aws_error("InvalidParameterValue", "only fleets of type maintain can be modified")
        fleet.target = TargetCapacity
        if ExcessCapacityTerminationPolicy == "default":
            for machine in self.of_fleet(fleet.fleet_id)[TargetCapacity:]:
                self.terminate(machine)
        return {"Return": True}

    def describe_spot_fleet_request_history(
        self,
        SpotFleetRequestId: str,
        StartTime: datetime,
        EventType: str = "",
        MaxResults: int = 1000,
        NextToken: str = "",
    ) -> dict[str, Any]:
        fleet = self.fleets[SpotFleetRequestId]
        records = [
            {
                "Timestamp": when,
                "EventType": kind,
                "EventInformation": {"EventSubType": sub, "EventDescription": text},
            }
            for when, kind, sub, text in fleet.history
            if when >= StartTime and EventType in ("", kind)
        ]
        return {
            "SpotFleetRequestId": SpotFleetRequestId,
            "StartTime": StartTime,
            "LastEvaluatedTime": self._world.time.moment(),
            "HistoryRecords": records[:MaxResults],
        }

    # --- machines --------------------------------------------------------------------------------

    def describe_instances(
        self,
        Filters: list[dict[str, Any]] | None = None,
        InstanceIds: list[str] | None = None,
        MaxResults: int = 1000,
        NextToken: str = "",
    ) -> dict[str, Any]:
        now = self._world.time.now
        found = [
            machine
            for machine in self.machines.values()
            if (machine.ended is None or now - machine.ended < _REMEMBERED)
            and _by_tags(machine.tags, Filters, state=machine.state, name=machine.instance_id)
            and (InstanceIds is None or machine.instance_id in InstanceIds)
        ]
        page, answer = self._world.paged(found, NextToken, MaxResults, "NextToken")
        return {"Reservations": [{"Instances": [_instance(m)]} for m in page], **answer}

    def terminate_instances(self, InstanceIds: list[str]) -> dict[str, Any]:
        """All or none: one that isn't known any more spoils it for the others."""
        now = self._world.time.now
        for instance_id in InstanceIds:
            machine = self.machines.get(instance_id)
            if machine is None or (machine.ended and now - machine.ended > _REMEMBERED):
                raise aws_error(
                    "InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist"
                )
        for instance_id in InstanceIds:
            self._world.control_plane_ends(self.machines[instance_id])
            self.terminate(self.machines[instance_id])
        return {"TerminatingInstances": [{"InstanceId": i} for i in InstanceIds]}

    def describe_images(self, ImageIds: list[str]) -> dict[str, Any]:
        images = [
            {
                "ImageId": image,
                "RootDeviceName": "/dev/xvda",
                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}],
            }
            for image in ImageIds
        ]
        return {"Images": images}

    # --- within ----------------------------------------------------------------------------------

    def end_fleet(self, fleet: Fleet, *, terminate: bool) -> None:
        mine = self.of_fleet(fleet.fleet_id)
        if fleet.state.startswith("cancelled") and not terminate:
            return
        fleet.state = "cancelled"
        if mine:
            fleet.state = "cancelled_terminating" if terminate else "cancelled_running"
        if terminate:
            for machine in mine:
                self.terminate(machine)

    def _fill(self) -> None:
        world = self._world
        for fleet in self.fleets.values():
            if fleet.state.startswith("cancelled_") and not self.of_fleet(fleet.fleet_id):
                fleet.state = "cancelled"
            if fleet.state != "active":
                continue
            if world.time.now >= fleet.valid_until:
                ends = bool(fleet.request.get("TerminateInstancesWithExpiration"))
                self.end_fleet(fleet, terminate=ends)
                continue
            there = len(self.of_fleet(fleet.fleet_id)) if fleet.maintain else fleet.launched
            ours = sum(bool(machine.user_data) for machine in self.there())
            room = world.laws.capacity_at(world.time.now) - ours
            for _ in range(max(0, min(fleet.target - there, room))):
                self._launch(fleet)

    def _launch(self, fleet: Fleet) -> None:
        world, laws = self._world, self._world.laws
        name = fleet.request["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"]
        template = self.templates.get(name["LaunchTemplateName"])
        if template is None:
            told = "The specified launch template does not exist"
            if not any(event[3] == told for event in fleet.history):
                kind, sub = "error", "spotFleetRequestConfigurationInvalid"
                fleet.history.append((world.time.moment(), kind, sub, told))
            return
        fleet.launched += 1
        self._made += 1
        tags = {
            k: v
            for spec in template.data.get("TagSpecifications", [])
            if spec["ResourceType"] == "instance"
            for k, v in from_tags(spec["Tags"]).items()
        }
        machine = Machine(
            f"i-{self._made:08x}",
            "pending",
            {**tags, FLEET_TAG: fleet.fleet_id},
            fleet.fleet_id,
            base64.b64decode(template.data["UserData"]).decode(),
            world.time.moment().replace(microsecond=0),
            world.time.now,
        )
        self.machines[machine.instance_id] = machine
        world.machine_was_launched(machine)

        def boot() -> None:
            if machine.state == "pending":
                machine.state, machine.alive = "running", world.time.now
                world.machine_boots(machine)

        world.time.after(world.chance.uniform(20, laws.boot), boot)


def _instance(machine: Machine) -> dict[str, Any]:
    return {
        "InstanceId": machine.instance_id,
        "State": {"Name": machine.state},
        "LaunchTime": machine.launched,
        "InstanceType": "m5.xlarge",
        "InstanceLifecycle": "spot",
        "Tags": to_tags(machine.tags),
    }


def _by_tags(
    tags: dict[str, str], filters: list[dict[str, Any]] | None, *, name: str, state: str = ""
) -> bool:
    fields = {
        "instance-state-name": state,
        "instance-id": name,
        "launch-template-name": name,
        **{f"tag:{key}": value for key, value in tags.items()},
    }
    assert all(f["Name"] in fields or f["Name"].startswith("tag:") for f in filters or [])
    return all(fields.get(item["Name"]) in item["Values"] for item in filters or [])


def _no_template(name: str) -> Exception:
    return aws_error(
        "InvalidLaunchTemplateName.NotFoundException",
        f"The specified launch template, with template name {name}, does not exist.",
    )
