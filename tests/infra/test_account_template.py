"""infra/account.yaml: no more than is needed, in the words of three checkers and our own."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.aws.permissions import PROJECT, several
from tests.core.goldens import hold_json
from tests.infra.conftest import ACCOUNT, TEMPLATE, Stack

KINDS = ("default", "all", "reused")

#: Allowed on every resource, and why that can't be less.
EVERYTHING = {
    "ec2:DescribeImages": "EC2 has no permissions by resource for looking",
    "ec2:DescribeInstanceAttribute": "the same",
    "ec2:DescribeInstanceStatus": "the same",
    "ec2:DescribeInstances": "the same",
    "ec2:DescribeSubnets": "the same",
    "ec2:RequestSpotInstances": "machines are of any image, subnet and key that a fleet file names",
    "ec2:RunInstances": "the same; PassRole holds which role they may have",
    "ecr:GetAuthorizationToken": "it is the account's",
    "ecs:DiscoverPollEndpoint": "it is the region's",
}


def policies(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in stack["roles"].items():
        for policy in role["policies"]:
            yield name, policy


def allowed(stack: Stack, role: str) -> dict[str, list[dict[str, Any]]]:
    """The statements that allow each action."""
    found: dict[str, list[dict[str, Any]]] = {}
    for policy in stack["roles"][role]["policies"]:
        for part in policy["Statement"]:
            if part["Effect"] == "Allow":
                for action in several(part["Action"]):
                    found.setdefault(action, []).append(part)
    return found


def plain(stack: Stack) -> dict[str, Any]:
    """Without the names that the emulator makes up."""
    text = json.dumps({name: stack[name] for name in ("roles", "bucket policy")})
    text = re.sub(r"stack[0-9a-f]{8}-(\w+)-[0-9A-Z]{12}", r"\1", text)
    found: dict[str, Any] = json.loads(text.replace(stack["bucket"], "deployment"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_permissions_are_those_that_were_reviewed(stacks: Mapping[str, Stack], kind: str) -> None:
    hold_json(f"account/{kind}.json", plain(stacks[kind]))


def test_cfn_lint_finds_nothing() -> None:
    command = [Path(sys.executable).with_name("cfn-lint"), TEMPLATE]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


# --- parliament ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parliament() -> Any:
    """It asks setuptools where its files are, in a way that setuptools no longer has."""
    shim = types.ModuleType("pkg_resources")
    shim.resource_filename = lambda package, name: str(  # type: ignore[attr-defined]
        importlib.resources.files(package) / name
    )
    sys.modules.setdefault("pkg_resources", shim)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that it leaves to be closed
        return importlib.import_module("parliament")


def findings(parliament: Any, policy: Mapping[str, Any]) -> set[str]:
    checked = parliament.analyze_policy_string(json.dumps(policy), ignore_private_auditors=True)
    return {
        f"{found.issue}: {action}"
        for found in checked.findings
        for action in (found.detail if isinstance(found.detail, list) else [str(found.detail)])
    }


@pytest.mark.parametrize("kind", KINDS)
def test_parliament_finds_nothing_unexplained(
    stacks: Mapping[str, Stack], parliament: Any, kind: str
) -> None:
    explained = {f"RESOURCE_STAR: {action}" for action in EVERYTHING}
    found = {
        f"{role}: {finding}"
        for role, policy in policies(stacks[kind])
        for finding in findings(parliament, policy) - explained
    }
    assert found == set()


def test_parliament_would_find_something(parliament: Any) -> None:
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjekt"], "Resource": "*"}
    assert findings(parliament, {"Version": "2012-10-17", "Statement": [statement]})


# --- our own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_allowed_on_everything_without_a_reason(
    stacks: Mapping[str, Stack], kind: str
) -> None:
    for _, policy in policies(stacks[kind]):
        for part in policy["Statement"]:
            for action in several(part["Action"]):
                assert "*" not in action
                assert "*" not in several(part["Resource"]) or action in EVERYTHING, part


def test_every_reason_is_needed(stacks: Mapping[str, Stack]) -> None:
    used = {
        action
        for _, policy in policies(stacks["all"])
        for part in policy["Statement"]
        if "*" in several(part["Resource"])
        for action in several(part["Action"])
    }
    assert used == set(EVERYTHING)


@pytest.mark.parametrize("kind", KINDS)
def test_a_role_is_passed_to_one_service_and_named(stacks: Mapping[str, Stack], kind: str) -> None:
    passed = [
        part
        for role in stacks[kind]["roles"]
        for part in allowed(stacks[kind], role).get("iam:PassRole", [])
    ]
    assert len(passed) == (0 if kind == "reused" else 1)
    for part in passed:
        assert part["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        assert part["Resource"].startswith(f"arn:aws:iam::{ACCOUNT}:role/")
        assert "*" not in part["Resource"]


@pytest.mark.parametrize("kind", KINDS)
def test_roles_are_taken_by_their_service_for_this_account_alone(
    stacks: Mapping[str, Stack], kind: str
) -> None:
    takers = {
        "TaskRole": "ecs-tasks.amazonaws.com",
        "ExecutionRole": "ecs-tasks.amazonaws.com",
        "MachineRole": "ec2.amazonaws.com",
        "SpotFleetRole": "spotfleet.amazonaws.com",
    }
    for name, role in stacks[kind]["roles"].items():
        [part] = role["trust"]["Statement"]
        assert part["Principal"] == {"Service": takers[name]}
        # EC2 gives a machine its role without naming an account; only PassRole can hold that.
        if name != "MachineRole":
            assert part["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


def test_machines_have_no_data(stacks: Mapping[str, Stack]) -> None:
    services = {action.partition(":")[0] for action in allowed(stacks["default"], "MachineRole")}
    assert services == {"ecs"}


def test_with_dcp_images_machines_read_and_never_write(stacks: Mapping[str, Stack]) -> None:
    found = {a for a in allowed(stacks["all"], "MachineRole") if not a.startswith("ecs:")}
    assert found == {"s3:ListBucket", "s3:GetObject", "kms:Decrypt"}


def test_workers_start_nothing_and_forge_no_state(stacks: Mapping[str, Stack]) -> None:
    from chalicelib.contract import LedgerEntry, commit_key
    from chalicelib.core import keys

    actions = allowed(stacks["default"], "TaskRole")
    assert {a.partition(":")[0] for a in actions} == {"ecs", "logs", "s3", "sqs"}
    [policy] = stacks["default"]["roles"]["TaskRole"]["policies"]
    [denied] = [part for part in policy["Statement"] if part["Effect"] == "Deny"]
    assert {"s3:PutObject", "s3:DeleteObject"} < set(denied["Action"])
    prefix = f"arn:aws:s3:::{stacks['default']['bucket']}/"
    patterns = [re.escape(r.removeprefix(prefix)).replace(r"\*", ".*") for r in denied["Resource"]]

    def may_write(key: str) -> bool:
        return not any(re.fullmatch(pattern, key) for pattern in patterns)

    run = "App-20260101T000000abcd"
    state = [
        keys.job_file("App", "plate"), keys.app_config("App"), keys.app_run("App"),
        keys.claim("App", "s1"), keys.answer("App", "k"), keys.pending("App", "s1"),
        keys.live(run), keys.exporting(run), keys.run_record(run), keys.run_status(run),
        keys.job_list(run, "s1", 0), keys.redrive(run, "s1", "d"), keys.report(run),
        keys.refusal("App", "plate"), keys.submitted("App", "t", "plate.json"), keys.NEXT_RUN,
        keys.SWEEP,
    ]  # fmt: skip
    assert [key for key in state if may_write(key)] == []
    entry = LedgerEntry(
        run=run, minute="20260101T0000", submission="s1", job="a1", attempt=1, outcome="done"
    )
    work = [commit_key(run, "s1", "a1"), entry.key(), "output/plate/A01/Image.csv"]
    assert [key for key in work if not may_write(key)] == []


def test_what_the_worker_asks_of_aws_is_allowed(stacks: Mapping[str, Stack]) -> None:
    """boto3's calls in worker/, looked up by hand."""
    needed = {
        "receive_message": {"sqs:ReceiveMessage"},
        "delete_message": {"sqs:DeleteMessage"},
        "change_message_visibility": {"sqs:ChangeMessageVisibility"},
        "send_message": {"sqs:SendMessage"},
        "get_object": {"s3:GetObject", "s3:ListBucket"},
        "head_object": {"s3:GetObject", "s3:ListBucket"},
        "download_file": {"s3:GetObject", "s3:ListBucket"},
        "put_object": {"s3:PutObject"},
        "upload_file": {"s3:PutObject", "s3:AbortMultipartUpload", "s3:PutObjectAcl"},
        "delete_object": {"s3:DeleteObject"},
        "list_objects_v2": {"s3:ListBucket"},
        "create_log_stream": {"logs:CreateLogStream"},
        "put_log_events": {"logs:PutLogEvents"},
        # Asked by the agent, in the task's name.
        "task-protection": {"ecs:UpdateTaskProtection"},
    }
    text = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "worker").glob("*.py"))
    clients = r"(?:_sqs|sqs|s3|_s3|logs|_logs)\.([a-z_0-9]+)\("
    called = set(re.findall(clients, text)) - {"get_paginator"}
    called |= set(re.findall(r"get_paginator\(\"(\w+)\"\)", text)) | {"task-protection"}
    assert called == set(needed)
    assert set(allowed(stacks["default"], "TaskRole")) == set().union(*needed.values())


def test_only_queues_of_the_deployment_are_read(stacks: Mapping[str, Stack]) -> None:
    for part in allowed(stacks["default"], "TaskRole")["sqs:ReceiveMessage"]:
        assert part["Condition"] == {
            "StringEquals": {"aws:ResourceTag/cellfleet.deployment": stacks["default"]["bucket"]}
        }


def test_the_bucket_is_closed(stacks: Mapping[str, Stack]) -> None:
    closed, *exports = stacks["default"]["bucket policy"]["Statement"]
    assert closed["Effect"] == "Deny"
    assert closed["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert {part["Principal"]["Service"] for part in exports} == {"logs.us-east-1.amazonaws.com"}


def test_the_export_statements_are_those_that_are_merged_into_other_buckets(
    stacks: Mapping[str, Stack],
) -> None:
    from chalicelib.core.bucket_policy import export_statements, statements

    stack = stacks["default"]
    meant = export_statements(stack["bucket"], region="us-east-1", account=ACCOUNT)
    assert statements(stack["bucket policy"])[1:] == meant


def test_what_is_reused_is_not_made(stacks: Mapping[str, Stack]) -> None:
    assert set(stacks["reused"]["there"]) == {"TaskRole", "ExecutionRole", "Notices"}


def test_nothing_may_come_in(stacks: Mapping[str, Stack], aws: Any) -> None:
    group = stacks["default"]["outputs"]["SecurityGroups"]
    [found] = aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert found["IpPermissions"] == []


def test_every_output_is_a_variable_of_the_deployment(stacks: Mapping[str, Stack]) -> None:
    from chalicelib.core.account import VARIABLES, StackView, environment
    from chalicelib.settings import Settings

    for stack in stacks.values():
        assert set(stack["outputs"]) == set(VARIABLES)
        settings = Settings.from_environment(
            environment(StackView(status="CREATE_COMPLETE", outputs=stack["outputs"]))
        )
        assert settings.bucket == stack["bucket"]
        assert all((settings.task_role, settings.execution_role, settings.topic, settings.subnets))
        assert settings.fleet_role.startswith("arn:")
