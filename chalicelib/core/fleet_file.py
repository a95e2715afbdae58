"""Fleet files: what the user says about machines, read strictly, or made from account settings.

A DCP fleet file is a spot fleet request with `LaunchSpecifications`. CellFleet launches from
launch templates instead, so each distinct specification becomes one `MachineSpec`, with every
subnet it was given for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from chalicelib.core.config import RunConfig
from chalicelib.errors import FleetFileError, Problem
from chalicelib.settings import Settings

ALLOCATION = "priceCapacityOptimized"
_MOST_PROBLEMS = 100
#: Keys of a fleet file that the run decides itself.
_OURS = (
    "TargetCapacity",
    "SpotPrice",
    "ValidFrom",
    "ValidUntil",
    "ClientToken",
    "TerminateInstancesWithExpiration",
    "ReplaceUnhealthyInstances",
    "ExcessCapacityTerminationPolicy",
    "TagSpecifications",
)
_FIELDS_OF_SPEC = frozenset(
    # BlockDeviceMappings is in every DCP file: EBS_VOL_SIZE and the image decide on volumes.
    [
        "ImageId",
        "KeyName",
        "IamInstanceProfile",
        "BlockDeviceMappings",
        "NetworkInterfaces",
        "SecurityGroups",
        "SubnetId",
        "EbsOptimized",
        "Placement",
        "InstanceType",
        "WeightedCapacity",
    ]
)


class _Open(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class _Interface(_Open):
    SubnetId: str | None = None
    Groups: list[str] = []
    AssociatePublicIpAddress: bool | None = None


class _Profile(_Open):
    Arn: str | None = None
    Name: str | None = None


class _Group(_Open):
    GroupId: str


class _Placement(_Open):
    AvailabilityZone: str | None = None
    Tenancy: str | None = None


def _one_machine(weight: float | None) -> float | None:
    if weight not in (None, 1):
        raise PydanticCustomError("weight", "1 or absent: capacity is counted in machines")
    return weight


class _Specification(_Open):
    ImageId: str | None = None
    KeyName: str | None = None
    IamInstanceProfile: _Profile | None = None
    NetworkInterfaces: list[_Interface] = []
    SecurityGroups: list[_Group] = []
    SubnetId: str | None = None
    EbsOptimized: bool | None = None
    Placement: _Placement | None = None
    WeightedCapacity: Annotated[float | None, AfterValidator(_one_machine)] = None


class _FleetFile(_Open):
    IamFleetRole: str
    LaunchSpecifications: list[_Specification]
    AllocationStrategy: str | None = None
    Type: str | None = None


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """One kind of machine, but for its instance type. Empty `image_id`: the current ECS AMI."""

    image_id: str = ""
    key_name: str = ""
    #: A name or an ARN; "" for none.
    instance_profile: str = ""
    security_groups: tuple[str, ...] = ()
    public_ip: bool | None = None
    interfaces: bool = False
    ebs_optimized: bool | None = None
    tenancy: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a machine may be launched: a subnet, or else a zone, or anywhere ("" and "")."""

    subnet: str = ""
    zone: str = ""


@dataclass(frozen=True, kw_only=True)
class FleetPlan:
    """What a fleet file, or the account, says: kinds of machines and where each may stand."""

    fleet_role: str
    allocation: str
    type: str
    machines: Mapping[MachineSpec, tuple[Place, ...]]
    warnings: tuple[str, ...] = ()


def from_settings(config: RunConfig, settings: Settings, *, account: str) -> FleetPlan:
    """A fleet for accounts that were prepared for CellFleet: its subnets, groups and roles."""
    public = None if config.assign_ip else False
    spec = MachineSpec(
        key_name=config.key_name,
        instance_profile=settings.instance_profile,
        security_groups=settings.security_groups,
        public_ip=public,
        interfaces=public is not None,
    )
    places = tuple(Place(subnet=subnet) for subnet in settings.subnets) or (Place(),)
    role = settings.fleet_role
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
    return FleetPlan(
        fleet_role=arn, allocation=ALLOCATION, type="maintain", machines={spec: places}
    )


def from_file(raw: Mapping[str, Any], config: RunConfig, *, source: str) -> FleetPlan:
    """Read a fleet file. Raises FleetFileError with every problem at once."""
    problems = _placeholders(raw, "")
    try:
        fleet = _FleetFile.model_validate(dict(raw))
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors(include_url=False)]
        raise _refused(source, problems) from error
    if not fleet.LaunchSpecifications:
        problems.append(
            Problem(where="LaunchSpecifications", expected="at least one launch specification")
        )
    warnings = [
        f"{key} of the fleet file is not used: the run's configuration and the monitor decide it"
        for key in _OURS
        if key in raw
    ]
    unknown = sorted(set(fleet.model_extra or {}) - set(_OURS))
    warnings += [f"{key} of the fleet file is not used" for key in unknown]
    machines: dict[MachineSpec, tuple[Place, ...]] = {}
    for index, specification in enumerate(fleet.LaunchSpecifications):
        where = f"LaunchSpecifications[{index}]"
        extra = sorted(set(specification.model_extra or {}) - _FIELDS_OF_SPEC)
        warnings += [f"{where}.{name} is not used" for name in extra]
        spec, places = _machine(specification, config)
        machines[spec] = tuple(dict.fromkeys((*machines.get(spec, ()), *places)))
    if problems:
        raise _refused(source, problems)
    return FleetPlan(
        fleet_role=fleet.IamFleetRole,
        allocation=fleet.AllocationStrategy or ALLOCATION,
        type=fleet.Type or "maintain",
        machines=machines,
        warnings=tuple(warnings),
    )


def _machine(
    specification: _Specification, config: RunConfig
) -> tuple[MachineSpec, tuple[Place, ...]]:
    interfaces = specification.NetworkInterfaces
    subnets = [interface.SubnetId for interface in interfaces if interface.SubnetId]
    if specification.SubnetId:
        subnets += [part.strip() for part in specification.SubnetId.split(",")]
    groups = [group for interface in interfaces for group in interface.Groups]
    groups += [group.GroupId for group in specification.SecurityGroups]
    public = next(
        (i.AssociatePublicIpAddress for i in interfaces if i.AssociatePublicIpAddress is not None),
        None,
    )
    if not config.assign_ip:
        public = False
    profile = specification.IamInstanceProfile
    placement = specification.Placement
    zones = (placement.AvailabilityZone or "").split(",") if placement else []
    places = tuple(Place(subnet=subnet) for subnet in subnets) or tuple(
        Place(zone=zone.strip()) for zone in zones if zone.strip()
    )
    spec = MachineSpec(
        image_id=specification.ImageId or "",
        key_name=(specification.KeyName or "").removesuffix(".pem"),
        instance_profile=(profile.Arn or profile.Name or "") if profile else "",
        security_groups=tuple(dict.fromkeys(groups)),
        public_ip=public,
        interfaces=bool(interfaces) or public is not None,
        ebs_optimized=specification.EbsOptimized,
        tenancy=(placement.Tenancy or "") if placement else "",
    )
    return spec, places or (Place(),)


def _refused(source: str, problems: list[Problem]) -> FleetFileError:
    return FleetFileError(source, problems[:_MOST_PROBLEMS], total=len(problems))


def _problem(detail: Any) -> Problem:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in detail["loc"]).lstrip(".")
    found = "" if detail["type"] == "missing" else repr(detail["input"])[:80]
    hints = {
        "IamFleetRole": "the ARN of the account's spot fleet tagging role",
        "LaunchSpecifications": "as in DCP's example fleet files",
    }
    return Problem(where=where, found=found, expected=detail["msg"], hint=hints.get(where, ""))


def _placeholders(value: Any, where: str) -> list[Problem]:
    """DCP's example files hold runs of X, W and Z to be replaced; some always stay."""
    if isinstance(value, Mapping):
        pairs = [(f"{where}.{key}".lstrip("."), item) for key, item in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{where}[{index}]", item) for index, item in enumerate(value)]
    elif isinstance(value, str) and _is_placeholder(value):
        return [
            Problem(
                where=where,
                found=repr(value),
                expected="your account's own value; this is the example's placeholder",
            )
        ]
    else:
        return []
    return [problem for place, item in pairs for problem in _placeholders(item, place)]


def _is_placeholder(text: str) -> bool:
    return any(letter * 6 in text for letter in "XWYZ") or text == "your_key_file_name"
