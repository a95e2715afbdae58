"""Fleet files: DCP's, read strictly, and what an account offers without one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from chalicelib.core.fleet_file import FleetPlan, MachineSpec, Place, from_file, from_settings
from chalicelib.errors import FleetFileError
from chalicelib.settings import Settings
from tests.core.factories import ACCOUNT, BARE, PREPARED, config, fleet_file
from tests.core.goldens import hold

ONE = fleet_file("one_specification")


def read(raw: dict[str, Any], **keys: Any) -> FleetPlan:
    return from_file(raw, config(**keys), source="fleet.json")


def refused(raw: dict[str, Any]) -> dict[str, str]:
    """The reasons why a file is refused, by their place."""
    with pytest.raises(FleetFileError) as caught:
        read(raw)
    assert len(caught.value.problems) == len({problem.where for problem in caught.value.problems})
    return {problem.where: str(problem) for problem in caught.value.problems}


def changed(*changes: dict[str, Any]) -> dict[str, Any]:
    """The file with one specification for each change; None takes a key away."""
    [specification] = ONE["LaunchSpecifications"]
    specifications = [
        {
            key: value
            for key, value in (deepcopy(specification) | change).items()
            if value is not None
        }
        for change in changes
    ]
    return ONE | {"LaunchSpecifications": specifications}


def interface(subnet: str, public: bool | None = True) -> dict[str, Any]:
    found: dict[str, Any] = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": ["sg-1"]}
    return found if public is None else found | {"AssociatePublicIpAddress": public}


# --- what is read --------------------------------------------------------------------------------


def test_a_dcp_file_is_read_unchanged() -> None:
    plan = read(ONE)
    assert plan.fleet_role == "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
    assert (plan.allocation, plan.type) == ("lowestPrice", "maintain")
    [(spec, places)] = plan.machines.items()
    assert spec == MachineSpec(
        image_id="ami-fad25980",
        key_name="imaging-core",
        instance_profile="arn:aws:iam::123456789012:instance-profile/ecsInstanceRole",
        security_groups=("sg-0d4e5f60718293041",),
        public_ip=True,
        interfaces=True,
    )
    assert places == (Place(subnet="subnet-0a1b2c3d4e5f60718"),)


def test_what_the_run_decides_itself_is_said_not_obeyed() -> None:
    plan = read(ONE | {"TargetCapacity": 100, "SpotPrice": "9.00", "ValidUntil": "2099-01-01"})
    assert [warning.split(" ")[0] for warning in plan.warnings] == [
        "TargetCapacity",
        "SpotPrice",
        "ValidUntil",
        "TerminateInstancesWithExpiration",
    ]


def test_alike_specifications_become_one_kind_of_machine_in_several_subnets() -> None:
    plan = read(fleet_file("several_subnets"))
    [places] = plan.machines.values()
    assert [place.subnet for place in places] == [
        "subnet-0a1b2c3d4e5f60718",
        "subnet-0b2c3d4e5f6071829",
        "subnet-0c3d4e5f607182930",
    ]


def test_a_specification_for_each_machine_type_doubles_nothing() -> None:
    # DCP launched one type a specification, so users wrote one specification for each type.
    types = ("m5.xlarge", "m6i.xlarge")
    plan = read(changed(*({"InstanceType": name} for name in types)), MACHINE_TYPE=list(types))
    assert list(plan.machines.values()) == [(Place(subnet="subnet-0a1b2c3d4e5f60718"),)]


def test_different_images_are_different_machines() -> None:
    plan = read(fleet_file("several_images"))
    assert [spec.image_id for spec in plan.machines] == ["ami-fad25980", "ami-0e5f6071829304152"]


def test_subnets_and_zones_may_be_listed_as_ec2_allows() -> None:
    listed = changed({"NetworkInterfaces": None, "SubnetId": "subnet-1, subnet-2"})
    assert list(read(listed).machines.values()) == [
        (Place(subnet="subnet-1"), Place(subnet="subnet-2"))
    ]
    zones = changed(
        {"NetworkInterfaces": None, "Placement": {"AvailabilityZone": "us-east-1a,us-east-1b"}}
    )
    assert list(read(zones).machines.values()) == [
        (Place(zone="us-east-1a"), Place(zone="us-east-1b"))
    ]
    anywhere = changed({"NetworkInterfaces": None})
    assert list(read(anywhere).machines.values()) == [(Place(),)]


def test_the_rest_of_a_specification() -> None:
    [(spec, _)] = read(
        changed(
            {
                "ImageId": None,
                "KeyName": "core.pem",
                "IamInstanceProfile": {"Name": "ecsInstanceRole"},
                "NetworkInterfaces": None,
                "SecurityGroups": [{"GroupId": "sg-2"}, {"GroupId": "sg-1"}, {"GroupId": "sg-2"}],
                "EbsOptimized": True,
                "Placement": {"Tenancy": "dedicated"},
                "WeightedCapacity": 1.0,
            }
        )
    ).machines.items()
    assert spec == MachineSpec(
        image_id="",
        key_name="core",
        instance_profile="ecsInstanceRole",
        security_groups=("sg-2", "sg-1"),
        ebs_optimized=True,
        tenancy="dedicated",
    )


def test_an_unknown_key_of_a_specification_is_said() -> None:
    plan = read(changed({"InstanceRequirements": {"VCpuCount": {"Min": 4}}}))
    assert "LaunchSpecifications[0].InstanceRequirements is not used" in plan.warnings


# --- ASSIGN_IP -----------------------------------------------------------------------------------


SEVERAL = changed(
    {"NetworkInterfaces": [interface("subnet-1", True), interface("subnet-2", True)]},
    {"NetworkInterfaces": [interface("subnet-3", None)]},
    {"ImageId": "ami-2", "NetworkInterfaces": [interface("subnet-4", False)]},
    {"ImageId": "ami-3", "NetworkInterfaces": None, "SubnetId": "subnet-5"},
)


def test_assign_ip_false_overrides_every_interface_of_every_specification() -> None:
    plan = read(SEVERAL, ASSIGN_IP="False")
    assert {(spec.public_ip, spec.interfaces) for spec in plan.machines} == {(False, True)}
    assert sorted(place.subnet for places in plan.machines.values() for place in places) == [
        f"subnet-{number}" for number in range(1, 6)
    ]


def test_assign_ip_true_leaves_what_the_file_says() -> None:
    found = {
        tuple(place.subnet for place in places): (spec.public_ip, spec.interfaces)
        for spec, places in read(SEVERAL, ASSIGN_IP="True").machines.items()
    }
    assert found == {
        ("subnet-1", "subnet-2"): (True, True),
        ("subnet-3",): (None, True),
        ("subnet-4",): (False, True),
        ("subnet-5",): (None, False),
    }


@pytest.mark.parametrize(("assign", "public"), [("False", False), ("True", None)])
def test_assign_ip_without_a_file(assign: str, public: bool | None) -> None:
    [spec] = from_settings(config(ASSIGN_IP=assign), PREPARED, account=ACCOUNT).machines
    assert spec.public_ip is public


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.5, 2, 4.0])
def test_weights_other_than_one(weight: float) -> None:
    reasons = refused(changed({"WeightedCapacity": 1}, {"WeightedCapacity": weight}))
    assert list(reasons) == ["LaunchSpecifications[1].WeightedCapacity"]
    assert f"is {weight}: 1 or absent" in reasons["LaunchSpecifications[1].WeightedCapacity"]


@pytest.mark.parametrize("missing", ["IamFleetRole", "LaunchSpecifications"])
def test_missing_keys(missing: str) -> None:
    reasons = refused({key: value for key, value in ONE.items() if key != missing})
    assert list(reasons) == [missing]


def test_no_specification_at_all() -> None:
    assert list(refused(ONE | {"LaunchSpecifications": []})) == ["LaunchSpecifications"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("IamFleetRole", 7),
        ("LaunchSpecifications", {"ImageId": "ami-1"}),
        ("LaunchSpecifications", ["ami-1"]),
        ("AllocationStrategy", ["lowestPrice"]),
        ("Type", 1),
    ],
)
def test_wrong_types(key: str, value: object) -> None:
    [(where, reason)] = refused(ONE | {key: value}).items()
    assert where in (key, f"{key}[0]")
    assert f"{where} is " in reason


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("ImageId", 7, ""),
        ("NetworkInterfaces", {"SubnetId": "subnet-1"}, ""),
        ("NetworkInterfaces", [{"Groups": "sg-1"}], "[0].Groups"),
        ("NetworkInterfaces", [{"Groups": ["sg-1", 2]}], "[0].Groups[1]"),
        ("NetworkInterfaces", [{"AssociatePublicIpAddress": "True"}], "[0].AssociatePublicIpAddress"),
        ("SecurityGroups", [{}], "[0].GroupId"),
        ("IamInstanceProfile", "ecsInstanceRole", ""),
        ("WeightedCapacity", "1", ""),
        ("EbsOptimized", "true", ""),
    ],
)  # fmt: skip
def test_wrong_types_in_a_specification(key: str, value: object, place: str) -> None:
    assert list(refused(changed({}, {key: value}))) == [f"LaunchSpecifications[1].{key}{place}"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("ImageId", "ami-XXXXXXXX"),
        ("KeyName", "your_key_file_name"),
        ("SubnetId", "subnet-WWWWWWWW"),
    ],
)
def test_placeholders_of_an_example(place: str, value: str) -> None:
    reasons = refused(changed({}, {place: value}))
    assert list(reasons) == [f"LaunchSpecifications[1].{place}"]
    assert value in reasons[f"LaunchSpecifications[1].{place}"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    raw = changed(
        {"ImageId": 7, "WeightedCapacity": 2},
        {
            "IamInstanceProfile": {"Arn": "arn:aws:iam::XXXXXXXXXXXX:instance-profile/ecs"},
            "NetworkInterfaces": [{"SubnetId": "subnet-WWWWWWWW", "Groups": ["sg-ZZZZZZZZZ"]}],
            "WeightedCapacity": 0.5,
        },
    )
    raw["IamFleetRole"] = "arn:aws:iam::XXXXXXXXXXXXX:role/aws-ec2-spot-fleet-tagging-role"
    with pytest.raises(FleetFileError) as caught:
        read(raw)
    hold("fleet/refused.txt", f"{caught.value}\n")
    assert {problem.where for problem in caught.value.problems} == {
        "IamFleetRole",
        "LaunchSpecifications[0].ImageId",
        "LaunchSpecifications[0].WeightedCapacity",
        "LaunchSpecifications[1].IamInstanceProfile.Arn",
        "LaunchSpecifications[1].NetworkInterfaces[0].SubnetId",
        "LaunchSpecifications[1].NetworkInterfaces[0].Groups[0]",
        "LaunchSpecifications[1].WeightedCapacity",
    }


def test_a_very_wrong_file_gives_its_first_hundred_reasons() -> None:
    with pytest.raises(FleetFileError) as caught:
        read(changed(*({"ImageId": 7} for _ in range(250))))
    assert (len(caught.value.problems), caught.value.total) == (100, 250)


# --- without a fleet file ------------------------------------------------------------------------


def test_an_account_that_names_nothing_is_launched_anywhere_with_dcps_roles() -> None:
    plan = from_settings(config(), BARE, account=ACCOUNT)
    assert plan.fleet_role == f"arn:aws:iam::{ACCOUNT}:role/aws-ec2-spot-fleet-tagging-role"
    assert plan.allocation == "priceCapacityOptimized"
    assert list(plan.machines.items()) == [
        (MachineSpec(instance_profile="ecsInstanceRole"), (Place(),))
    ]


def test_roles_may_be_names_or_arns() -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/fleet"
    for role in ("fleet", arn):
        account = Settings(bucket="b", region="us-east-1", fleet_role=role)
        assert from_settings(config(), account, account=ACCOUNT).fleet_role == arn
    [spec] = from_settings(config(), PREPARED, account=ACCOUNT).machines
    assert spec.instance_profile == PREPARED.instance_profile
