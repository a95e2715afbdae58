"""What a call to AWS needs by way of permissions: a table, reviewed by hand, and a recorder.

The emulator allows everything, so a permission that is missing shows up in an account first. Here
each call that the Lambdas make is written down at boto3's edge and looked up. From AWS's Service
Authorization Reference and the pages of the operations: most need the action of their own name,
some need more. A call that isn't in the table is an error: somebody has to look it up.
"""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.syntax import Source

PROJECT = Path(__file__).resolve().parents[2]

#: Operations that need the action of their own name, by service as IAM calls it.
SAME_NAME: Mapping[str, tuple[str, ...]] = {
    "cloudwatch": (
        "DeleteAlarms", "DeleteDashboards", "DescribeAlarms", "GetDashboard",
        "ListTagsForResource", "PutDashboard",
    ),
    "ec2": (
        "CancelSpotFleetRequests", "CreateLaunchTemplate", "DeleteLaunchTemplate",
        "DescribeImages", "DescribeInstances", "DescribeLaunchTemplates",
        "DescribeSpotFleetRequestHistory", "DescribeSpotFleetRequests", "ModifySpotFleetRequest",
        "TerminateInstances",
    ),
    "ecs": (
        "CreateCluster", "CreateService", "DeleteCluster", "DeleteService",
        "DeregisterContainerInstance", "DeregisterTaskDefinition", "DescribeClusters",
        "DescribeContainerInstances", "DescribeServices", "DescribeTaskDefinition",
        "DescribeTasks", "ListContainerInstances", "ListTaskDefinitions", "ListTasks",
        "RegisterTaskDefinition", "TagResource", "UpdateContainerInstancesState",
        "UpdateService",
    ),
    "logs": (
        "CreateLogGroup", "DescribeExportTasks", "DescribeLogGroups", "FilterLogEvents",
        "PutRetentionPolicy",
    ),
    "s3": ("DeleteObject",),
    "sns": ("Publish",),
    "sqs": (
        "CreateQueue", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "ListQueueTags",
        "PurgeQueue", "SendMessage", "SetQueueAttributes", "TagQueue",
    ),
    "ssm": ("GetParameter",),
    "tag": ("GetResources",),
}  # fmt: skip

#: Operations that need other actions, or more than one.
OTHERS: Mapping[str, tuple[str, ...]] = {
    # Without ListBucket S3 answers 403, not 404, where there is no object.
    "s3:GetObject": ("s3:GetObject", "s3:ListBucket"),
    "s3:HeadObject": ("s3:GetObject", "s3:ListBucket"),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:PutObject": ("s3:PutObject",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
    # The fleet starts machines in the caller's name, with a role of its own; so does the role
    # that the launch template gives the machines.
    "ec2:RequestSpotFleet": ("ec2:RequestSpotFleet", "ec2:RunInstances", "iam:PassRole"),
    # Whoever asks for an export has to be allowed to write to the bucket.
    "logs:CreateExportTask": ("logs:CreateExportTask", "s3:PutObject"),
    # Anybody may ask who they are.
    "sts:GetCallerIdentity": (),
}

#: Parameters that need more than the operation does.
PARAMETERS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("s3:GetObject", "VersionId"): ("s3:GetObjectVersion",),
    ("s3:HeadObject", "VersionId"): ("s3:GetObjectVersion",),
    ("s3:PutObject", "IfMatch"): ("s3:GetObject",),
    ("sqs:CreateQueue", "tags"): ("sqs:TagQueue",),
    ("ecs:CreateCluster", "tags"): ("ecs:TagResource",),
    ("ecs:CreateService", "tags"): ("ecs:TagResource",),
    ("ecs:RegisterTaskDefinition", "tags"): ("ecs:TagResource",),
    ("ecs:RegisterTaskDefinition", "taskRoleArn"): ("iam:PassRole",),
    ("ecs:RegisterTaskDefinition", "executionRoleArn"): ("iam:PassRole",),
    ("ec2:CreateLaunchTemplate", "TagSpecifications"): ("ec2:CreateTags",),
    ("ec2:RequestSpotFleet", "TagSpecifications"): ("ec2:CreateTags",),
    ("cloudwatch:PutDashboard", "Tags"): ("cloudwatch:TagResource",),
    ("logs:CreateLogGroup", "tags"): ("logs:TagResource",),
}

#: What IAM calls a service, where boto3 calls it something else.
_IAM_NAMES = {"resourcegroupstaggingapi": "tag"}

_NEEDS = {
    **{f"{service}:{name}": (f"{service}:{name}",) for service, own in SAME_NAME.items() for name in own},
    **OTHERS,
}  # fmt: skip


def needs(operation: str, parameters: Mapping[str, Any]) -> set[str]:
    """The IAM actions that a call takes. Raises KeyError for one that nobody has looked up."""
    found = set(_NEEDS[operation])
    # A fleet's are one level down.
    given = {**parameters, **parameters.get("SpotFleetRequestConfig", {})}
    for (of, name), more in PARAMETERS.items():
        if of == operation and given.get(name):
            found |= set(more)
    return found


def known(name: str) -> list[str]:
    """The operations of this name in the table; several services may have one."""
    return [operation for operation in _NEEDS if operation.partition(":")[2] == name]


class Calls:
    """What each Lambda function asks of AWS, as boto3 is about to send it."""

    def __init__(self) -> None:
        self.actions: dict[str, dict[str, str]] = {}
        self.operations: set[str] = set()
        self._function = ""
        self._lock = threading.Lock()

    @contextmanager
    def of(self, function: str) -> Iterator[None]:
        """Inside, calls are this function's."""
        self._function = function
        self.actions.setdefault(function, {})
        try:
            yield
        finally:
            self._function = ""

    @contextmanager
    def listening(self, *clients: Any) -> Iterator[None]:
        for client in clients:
            client.meta.events.register("before-parameter-build", self._note)
        try:
            yield
        finally:
            for client in clients:
                client.meta.events.unregister("before-parameter-build", self._note)

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if not self._function:
            return
        service = model.service_model.service_name
        operation = f"{_IAM_NAMES.get(service, service)}:{model.name}"
        with self._lock:
            self.operations.add(operation)
            for action in needs(operation, params):
                self.actions[self._function].setdefault(action, operation)


def policy_files() -> dict[str, Path]:
    """The policy of each Lambda function that is deployed."""
    folder = PROJECT / ".chalice"
    stages = json.loads((folder / "config.json").read_text(encoding="utf-8"))["stages"]
    return {
        function: folder / settings["iam_policy_file"]
        for stage in stages.values()
        for function, settings in stage["lambda_functions"].items()
    }


def statements(policy: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(policy.read_text(encoding="utf-8"))["Statement"]
    return found


def several(value: str | list[str]) -> list[str]:
    """IAM takes one for a list of one."""
    return [value] if isinstance(value, str) else value


def granted(policy: Path) -> set[str]:
    """The actions that a policy allows."""
    return {action for part in statements(policy) for action in several(part["Action"])}


def asked_for(paths: Iterable[Path], methods: Mapping[str, str]) -> set[str]:
    """Operations that these modules name; `methods`: boto3's names for them."""
    found: set[str] = set()
    for path in paths:
        source = Source(path.name, path.read_text(encoding="utf-8"))
        for node in ast.walk(source.tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name = node.func.attr
            if name == "get_paginator" and isinstance(node.args[0], ast.Constant):
                name = str(node.args[0].value)
            if name in methods:
                found.add(methods[name])
    return found


def imported(path: Path) -> set[str]:
    """The modules that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(Source(path.name, path.read_text(encoding="utf-8")).tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found
