"""`run.py account` against the emulator: create, show, delete, and what is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import run
from chalicelib.aws.account import StackFailedError, look
from chalicelib.core.account import AccountRequest
from chalicelib.operations.account import create, delete
from chalicelib.settings import Settings
from commandline import account as command
from tests.aws.conftest import BUCKET, World

TEMPLATE = command.TEMPLATE.read_text(encoding="utf-8")
THEIRS = {
    "Sid": "Lab",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}


@pytest.fixture(autouse=True)
def _nothing_prepared(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a shell of a user who has no configuration here. (The clients are made once: each takes
    boto3 a while.)"""
    monkeypatch.setattr("chalicelib.aws.clients.Clients", lambda _region: world.clients)
    for name in world.aws.env:
        if name.startswith("CELLFLEET_"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def account(*words: str) -> int:
    return run.main(["account", *words])


def exported(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    lines = capsys.readouterr().out.splitlines()
    pairs = [line.removeprefix("export ").split("=", 1) for line in lines if "export " in line]
    return dict(pairs)  # type: ignore[arg-type]


def policy_of(world: World, bucket: str) -> dict[str, Any] | None:
    s3 = world.client("s3")
    try:
        found: dict[str, Any] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except s3.exceptions.ClientError:
        return None
    return found


def roles(world: World) -> set[str]:
    pages = world.client("iam").get_paginator("list_roles").paginate()
    return {role["RoleName"] for page in pages for role in page["Roles"]}


def test_a_fresh_account(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert account("create", "fresh-bucket") == 0
    settings = Settings.from_environment(exported(capsys))
    assert settings.bucket == "fresh-bucket"
    assert len(settings.subnets) > 1
    iam = world.client("iam")
    for arn in (settings.task_role, settings.execution_role, settings.fleet_role):
        assert iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]["Arn"] == arn
    profile = settings.instance_profile.rpartition("/")[2]
    assert iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    s3 = world.client("s3")
    assert s3.get_bucket_versioning(Bucket="fresh-bucket")["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket="fresh-bucket")
    assert all(blocked["PublicAccessBlockConfiguration"].values())
    assert policy_of(world, "fresh-bucket") is not None

    before = roles(world)
    assert account("create", "fresh-bucket") == 0
    assert "prepared already" in capsys.readouterr().err
    assert roles(world) == before
    assert account("show") == 0
    assert Settings.from_environment(exported(capsys)) == settings


def test_delete_leaves_data_and_roles_of_others(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.client("iam").create_role(RoleName="ecsInstanceRole", AssumeRolePolicyDocument="{}")
    before = roles(world)
    account("create", "fresh-bucket")
    world.put("output/plate/Image.csv", b"1,2", bucket="fresh-bucket")
    assert account("delete") == 0
    assert "kept: the bucket fresh-bucket" in capsys.readouterr().out
    assert world.keys(bucket="fresh-bucket") == ["output/plate/Image.csv"]
    linked = {role for role in roles(world) - before if role.startswith("AWSServiceRole")}
    assert roles(world) == before | linked
    left = policy_of(world, "fresh-bucket")
    assert left is not None
    assert [part["Sid"] for part in left["Statement"]] == ["OnlyEncryptedConnections"]
    assert account("delete") == 0
    assert "nothing to delete" in capsys.readouterr().out
    # And back again, with the data.
    assert account("create", "fresh-bucket") == 0
    assert world.keys(bucket="fresh-bucket") == ["output/plate/Image.csv"]


def test_the_policy_of_an_existing_bucket_is_merged_and_restored(world: World) -> None:
    policy = {"Version": "2012-10-17", "Statement": [THEIRS]}
    world.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    assert account("create", BUCKET) == 0
    merged = policy_of(world, BUCKET)
    assert merged is not None
    assert merged["Statement"][0] == THEIRS
    assert len(merged["Statement"]) == 3
    assert account("delete") == 0
    assert policy_of(world, BUCKET) == policy


def test_a_policy_of_nothing_but_ours_goes(world: World) -> None:
    account("create", BUCKET)
    assert policy_of(world, BUCKET) is not None
    account("delete")
    assert policy_of(world, BUCKET) is None


def test_options_change_the_stack_and_stay(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    account("create", "fresh-bucket")
    more = ["--bucket", BUCKET, "--read-bucket", "public-images", "--dcp-images"]
    assert account("create", "fresh-bucket", *more) == 0
    assert "Buckets, ReadBuckets, DcpImages" in capsys.readouterr().err
    merged = policy_of(world, BUCKET)
    assert merged is not None
    assert len(merged["Statement"]) == 2
    task = exported_role(world, "TaskRole")
    assert f"arn:*:s3:::{BUCKET}/*" in json.dumps(task)
    assert account("create", "fresh-bucket") == 0
    assert exported_role(world, "TaskRole") == task


def exported_role(world: World, output: str) -> Any:
    [stack] = world.client("cloudformation").describe_stacks(StackName="cellfleet")["Stacks"]
    [arn] = [o["OutputValue"] for o in stack["Outputs"] if o["OutputKey"] == output]
    iam, name = world.client("iam"), arn.rpartition("/")[2]
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]


def test_existing_dcp_roles(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert account("create", BUCKET, "--existing-dcp-roles") == 1
    assert "ecsInstanceRole" in capsys.readouterr().err
    iam = world.client("iam")
    for name in ("ecsInstanceRole", "aws-ec2-spot-fleet-tagging-role"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
    iam.add_role_to_instance_profile(
        InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole"
    )
    assert account("create", BUCKET, "--existing-dcp-roles") == 0
    found = exported(capsys)
    assert found["CELLFLEET_INSTANCE_PROFILE"] == "ecsInstanceRole"
    assert found["CELLFLEET_FLEET_ROLE"].endswith(":role/aws-ec2-spot-fleet-tagging-role")
    assert account("delete") == 0
    assert {"ecsInstanceRole", "aws-ec2-spot-fleet-tagging-role"} <= roles(world)


def test_a_dry_run_does_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = roles(world)
    assert account("create", "fresh-bucket", "--dry-run") == 0
    assert "would make the stack cellfleet" in capsys.readouterr().out
    assert roles(world) == before
    account("create", "fresh-bucket")
    made = roles(world)
    assert account("delete", "--dry-run") == 0
    assert "would delete the stack cellfleet" in capsys.readouterr().out
    assert roles(world) == made


def test_nothing_is_taken_from_live_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    account("create", BUCKET)
    world.put("live/App-20260101T000000abcd", b"")
    before = roles(world)
    assert account("delete") == 1
    assert "run.py stop" in capsys.readouterr().err
    assert roles(world) == before


def test_a_stage_gets_its_environment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = tmp_path / "config.json"
    stages.write_text(
        json.dumps({"stages": {"dev": {"environment_variables": {"KEPT": "1"}}}, "version": "2.0"})
    )
    monkeypatch.setattr(command, "STAGES", stages)
    assert account("create", BUCKET, "--stage", "dev") == 0
    written = json.loads(stages.read_text())
    assert written["version"] == "2.0"
    variables = written["stages"]["dev"]["environment_variables"]
    assert variables["KEPT"] == "1"
    assert Settings.from_environment(variables).task_role
    assert account("show", "--stage", "prod") == 1
    assert world.client("iam")


def test_a_stack_that_fails_is_told_with_its_reasons(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator's never fail; one that did is put there."""
    from moto.cloudformation.models import Stack

    def fail(stack: Stack) -> None:
        stack.status = "ROLLBACK_COMPLETE"

    monkeypatch.setattr(Stack, "create_resources", fail)
    with pytest.raises(StackFailedError, match="cellfleet is ROLLBACK_COMPLETE"):
        create(world.clients, AccountRequest(bucket=BUCKET), TEMPLATE, sleep=_never)
    monkeypatch.undo()
    done = create(world.clients, AccountRequest(bucket=BUCKET), TEMPLATE, sleep=_never)
    assert str(done.plan[0]).startswith("delete the stack")
    assert done.seen.stack is not None
    assert done.seen.stack.well


def test_it_waits_for_cloudformation(world: World) -> None:
    create(world.clients, AccountRequest(bucket=BUCKET), TEMPLATE, sleep=_never)
    from moto.cloudformation.models import cloudformation_backends

    [stack] = cloudformation_backends["123456789012"]["us-east-1"].stacks.values()
    stack.status = "UPDATE_IN_PROGRESS"
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            stack.status = "UPDATE_COMPLETE"

    delete(world.clients, "cellfleet", sleep=sleep)
    assert len(slept) == 3
    assert look(world.clients, "cellfleet", BUCKET, ()).stack is None


def _never(_seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")
