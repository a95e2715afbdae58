"""Machines: launch templates and the spot fleet request."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.compute import WorkerKind
from chalicelib.core.config import RunConfig
from chalicelib.core.fleet import (
    Image,
    fleet_request,
    launch_template,
    template_name,
    volume_warning,
)
from chalicelib.core.fleet_file import FleetPlan, MachineSpec, from_file, from_settings
from chalicelib.core.naming import Names, tags
from chalicelib.core.user_data import user_data
from chalicelib.settings import Settings
from tests.core.factories import (
    ACCOUNT,
    BARE,
    DEPLOYMENT,
    FIRST_IMAGE,
    NOW,
    PREPARED,
    TODAYS_IMAGE,
    config,
    example,
    fleet_file,
    record,
)
from tests.core.goldens import hold_json

IMAGES = {image.image_id: image for image in (TODAYS_IMAGE, FIRST_IMAGE)} | {"": TODAYS_IMAGE}
SPEC = MachineSpec(instance_profile="ecsInstanceRole")


def asked(
    settings: RunConfig,
    plan: FleetPlan,
    kind: WorkerKind = "cellfleet",
    machines: int = 3,
    on_demand: int = 0,
) -> dict[str, Any]:
    """Everything that EC2 is sent, with the boot script readable."""
    names = Names.of(settings)
    run = f"{settings.app_name}-1"
    owner = tags(app=settings.app_name, run_id=run, deployment=DEPLOYMENT)
    script = user_data(cluster=names.cluster, run_id=run, kind=kind)
    templates = {}
    for index, spec in enumerate(plan.machines):
        data = launch_template(
            settings, spec, IMAGES[spec.image_id], kind=kind, user_data=script, tags=owner
        )
        assert base64.b64decode(data["UserData"]).decode() == script
        templates[template_name(names, index)] = data | {"UserData": "(tests/golden/user_data)"}
    request = fleet_request(
        settings,
        plan,
        machines=machines,
        token="t",
        now=NOW,
        tags=owner,
        on_demand=on_demand,
    )
    return {
        "warnings": plan.warnings,
        "CreateLaunchTemplate": templates,
        "RequestSpotFleet": request.request,
    }


def template(settings: RunConfig, image: Image = TODAYS_IMAGE, **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"kind": "cellfleet", "user_data": "", "tags": {}}
    spec = options.pop("spec", SPEC)
    return launch_template(settings, spec, image, **(arguments | options))


def requested(settings: RunConfig, plan: FleetPlan | None = None) -> dict[str, Any]:
    plan = plan or from_settings(settings, PREPARED, account=ACCOUNT)
    fleet = fleet_request(settings, plan, machines=7, token="t", now=NOW, tags={})
    return dict(fleet.request)


def plan_of(name: str, settings: RunConfig) -> FleetPlan:
    return from_file(fleet_file(name), settings, source=name)


# --- what EC2 is sent ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", ["one_specification", "several_subnets", "several_images"])
def test_from_a_dcp_fleet_file_for_a_dcp_image(name: str, number: int) -> None:
    settings = example(number)
    hold_json(
        f"fleet/example_{number}.{name}.json", asked(settings, plan_of(name, settings), "dcp")
    )


@pytest.mark.parametrize("number", [1, 2])
def test_from_account_settings(number: int) -> None:
    settings = example(number)
    plan = from_settings(settings, PREPARED, account=ACCOUNT)
    hold_json(f"fleet/example_{number}.account.json", asked(settings, plan))


VARIANTS: dict[str, tuple[Settings, dict[str, Any]]] = {
    "several_types": (PREPARED, {"MACHINE_TYPE": ["m5.xlarge", "m6i.xlarge"]}),
    "bare_account": (BARE, {}),
    "with_a_price": (PREPARED, {"MACHINE_PRICE": 0.2}),
    "without_addresses": (PREPARED, {"ASSIGN_IP": "False"}),
    "unwatched": (PREPARED, {"AUTO_MONITOR": "False"}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str) -> None:
    account, keys = VARIANTS[name]
    settings = config(**keys)
    plan = from_settings(settings, account, account=ACCOUNT)
    hold_json(f"fleet/{name}.json", asked(settings, plan))


def test_machines_at_full_price_are_part_of_the_request_and_cost_no_more_than_the_price() -> None:
    settings = config(MACHINE_PRICE=0.2)
    plan = from_settings(settings, PREPARED, account=ACCOUNT)
    hold_json("fleet/on_demand.json", asked(settings, plan, on_demand=2))


# --- the request ---------------------------------------------------------------------------------


def test_every_subnet_is_crossed_with_every_machine_type() -> None:
    settings = config(MACHINE_TYPE=["m5.xlarge", "m6i.xlarge", "r5.xlarge"])
    [launch] = requested(settings)["LaunchTemplateConfigs"]
    found = [(o["SubnetId"], o["InstanceType"]) for o in launch["Overrides"]]
    assert len(found) == len(set(found)) == 9
    assert set(found) == {(s, t) for s in PREPARED.subnets for t in settings.machine_type}


def test_capacity_counts_machines() -> None:
    request = requested(config())
    assert request["TargetCapacity"] == 7
    assert "WeightedCapacity" not in json.dumps(request)


def test_no_price_means_no_cap() -> None:
    assert "SpotPrice" not in requested(config())


@pytest.mark.parametrize(("price", "text"), [(0.2, "0.20"), ("0.0116", "0.0116"), (24, "24")])
def test_the_price_is_the_most_for_one_machine(price: object, text: str) -> None:
    found = requested(config(MACHINE_PRICE=price))["SpotPrice"]
    assert isinstance(found, str)
    assert float(found) == float(text)
    assert "e" not in found


def test_a_watched_fleet_is_asked_for_once_and_soon() -> None:
    request = requested(config(AUTO_MONITOR="True"), plan_of("one_specification", config()))
    assert request["Type"] == "request"
    assert request["ValidUntil"] == "2024-03-01T10:00:00Z"
    # Its machines outlive the request: the monitor ends them.
    assert request["TerminateInstancesWithExpiration"] is False


def test_an_unwatched_fleet_is_what_its_file_says_but_not_for_ever() -> None:
    settings = config(AUTO_MONITOR="False")
    file = fleet_file("one_specification") | {"ValidUntil": "2099-01-01T00:00:00Z"}
    for kind in ("maintain", "request"):
        plan = from_file(file | {"Type": kind}, settings, source="test")
        request = requested(settings, plan)
        assert request["Type"] == kind
        assert request["ValidUntil"] == "2024-03-08T09:30:00Z"
        assert request["TerminateInstancesWithExpiration"] is True


def test_a_request_is_valid_as_long_as_its_record_says() -> None:
    settings = config()
    plan = from_settings(settings, PREPARED, account=ACCOUNT)
    odd = NOW + timedelta(microseconds=123_456)
    fleet = fleet_request(settings, plan, machines=7, token="t", now=odd, tags={})
    assert fleet.request["ValidUntil"] == f"{fleet.valid_until:%Y-%m-%dT%H:%M:%SZ}"


def test_a_stored_request_is_the_same_when_read_again() -> None:
    settings = config(MACHINE_PRICE=0.2, MACHINE_TYPE=["m5.xlarge", "m6i.xlarge"])
    plan = from_settings(settings, PREPARED, account=ACCOUNT)
    fleet = fleet_request(settings, plan, machines=7, token="t", now=NOW, tags={"k": "v"})
    stored = record(settings, fleets=(fleet,))
    [found] = type(stored).from_json(stored.to_json()).fleets
    assert json.dumps(found.request) == json.dumps(fleet.request)
    assert found == fleet


# --- the launch template -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "image", "device", "given"),
    [
        (22, TODAYS_IMAGE, "/dev/xvda", 30),
        (30, TODAYS_IMAGE, "/dev/xvda", 30),
        (165, TODAYS_IMAGE, "/dev/xvda", 165),
        (22, FIRST_IMAGE, "/dev/xvdcz", 22),
        (165, FIRST_IMAGE, "/dev/xvdcz", 165),
        (22, Image(image_id="ami-1", root_device="/dev/sda1", snapshots={}), "/dev/sda1", 22),
    ],
)
def test_the_disk_goes_to_the_volume_that_holds_containers(
    size: int, image: Image, device: str, given: int
) -> None:
    settings = config(EBS_VOL_SIZE=size)
    [volume] = template(settings, image)["BlockDeviceMappings"]
    assert volume["DeviceName"] == device
    assert volume["Ebs"] == {
        "VolumeSize": given,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    warned = volume_warning(settings, image)
    if given == size:
        assert warned == ""
    else:
        assert "EBS_VOL_SIZE is 22 GB" in warned
        assert image.image_id in warned
        assert "30 GB" in warned


@given(st.integers(22, 16_384), st.integers(0, 500), st.sampled_from(["/dev/xvda", "/dev/xvdcz"]))
def test_a_volume_is_never_below_its_snapshot(size: int, snapshot: int, device: str) -> None:
    image = Image(image_id="ami-1", root_device="/dev/xvda", snapshots={device: snapshot})
    [volume] = template(config(EBS_VOL_SIZE=size), image)["BlockDeviceMappings"]
    assert volume["Ebs"]["VolumeSize"] == max(size, snapshot)


@pytest.mark.parametrize(
    ("kind", "tokens", "hops"), [("cellfleet", "required", 1), ("dcp", "optional", 2)]
)
def test_who_may_read_the_metadata_service(kind: str, tokens: str, hops: int) -> None:
    options = template(config(), kind=kind)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == (tokens, hops)


def test_a_machine_that_powers_itself_off_is_gone() -> None:
    assert template(config())["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_machines_and_volumes_carry_our_tags_and_dcps_name() -> None:
    specifications = template(config(), tags={"cellfleet.app": "Screen"})["TagSpecifications"]
    assert {spec["ResourceType"] for spec in specifications} == {"instance", "volume"}
    for spec in specifications:
        assert {tag["Key"]: tag["Value"] for tag in spec["Tags"]} == {
            "Name": "ScreenWorker",
            "cellfleet.app": "Screen",
        }


def test_groups_stand_in_the_interface_where_there_is_one() -> None:
    # EC2 refuses a template that has both.
    groups = ("sg-1", "sg-2")
    plain = MachineSpec(instance_profile="", security_groups=groups)
    through = MachineSpec(
        instance_profile="", security_groups=groups, interfaces=True, public_ip=False
    )
    assert template(config(), spec=plain)["SecurityGroupIds"] == ["sg-1", "sg-2"]
    data = template(config(), spec=through)
    assert "SecurityGroupIds" not in data
    [interface] = data["NetworkInterfaces"]
    assert interface["Groups"] == ["sg-1", "sg-2"]
    assert interface["AssociatePublicIpAddress"] is False
    # The subnet is each override's.
    assert "SubnetId" not in interface


def test_a_key_pair_lets_somebody_log_in_only_if_one_is_named() -> None:
    assert "KeyName" not in template(config())
    spec = from_settings(config(SSH_KEY_NAME="core.pem"), PREPARED, account=ACCOUNT).machines
    assert template(config(), spec=next(iter(spec)))["KeyName"] == "core"
