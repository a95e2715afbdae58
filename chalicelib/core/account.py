"""An account that is prepared for CellFleet: what is asked for, and what is there. Data, no AWS.

The stack of infra/account.yaml holds roles, security group, topic, and the bucket if it is made
here. What CloudFormation can't do so that it may be done twice (service-linked roles, a statement
in the policy of a bucket that is there already) stands beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.core.naming import TAG_DEPLOYMENT

STACK = "cellfleet"
#: The stack's tag that tells which template it was made from.
TAG_TEMPLATE = "cellfleet.template"
#: What DCP's own set-up makes.
DCP_PROFILE = "ecsInstanceRole"
DCP_FLEET_ROLE = "aws-ec2-spot-fleet-tagging-role"

#: Services that take a role of their own in an account: the account's, not ours. Never removed.
LINKED_ROLES = ("ecs.amazonaws.com", "spot.amazonaws.com", "spotfleet.amazonaws.com")
#: For alarms that end machines, as DCP's workers make them.
LINKED_ROLES_OF_DCP = ("events.amazonaws.com",)

#: Which variable of the deployment's environment holds an output of the stack.
VARIABLES = {
    "Bucket": "CELLFLEET_BUCKET",
    "Subnets": "CELLFLEET_SUBNETS",
    "SecurityGroups": "CELLFLEET_SECURITY_GROUPS",
    "InstanceProfile": "CELLFLEET_INSTANCE_PROFILE",
    "FleetRole": "CELLFLEET_FLEET_ROLE",
    "TaskRole": "CELLFLEET_TASK_ROLE",
    "ExecutionRole": "CELLFLEET_EXECUTION_ROLE",
    "Topic": "CELLFLEET_TOPIC",
}


@dataclass(frozen=True, kw_only=True)
class AccountRequest:
    """What the user asks for. None: as the stack has it, or else the default."""

    bucket: str
    stack: str = STACK
    buckets: tuple[str, ...] | None = None
    read_buckets: tuple[str, ...] | None = None
    kms_keys: tuple[str, ...] | None = None
    vpc: str | None = None
    subnets: tuple[str, ...] | None = None
    security_group: str | None = None
    existing_dcp_roles: bool | None = None
    dcp_images: bool | None = None
    email: str | None = None
    keep_runs_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class StackView:
    """The stack. `status` is CloudFormation's."""

    status: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")

    @property
    def unusable(self) -> bool:
        """It never came to be: CloudFormation only lets it be deleted."""
        return self.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")

    @property
    def well(self) -> bool:
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


@dataclass(frozen=True, kw_only=True)
class BucketView:
    """A bucket: not there, this account's, or out of reach (another account's, or refused)."""

    state: Literal["absent", "own", "foreign"]
    region: str = ""
    policy: Mapping[str, Any] | None = None
    #: None where it couldn't be asked.
    versioned: bool | None = None
    public_blocked: bool | None = None


@dataclass(frozen=True, kw_only=True)
class SubnetView:
    subnet: str
    vpc: str
    zone: str


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """What is there. `linked_roles`: services that have their role; `live`: the first few live runs
    of the deployment."""

    account: str
    region: str
    partition: str = "aws"
    stack: StackView | None = None
    buckets: Mapping[str, BucketView] = field(default_factory=dict)
    linked_roles: frozenset[str] = frozenset()
    default_vpc: str = ""
    subnets: tuple[SubnetView, ...] = ()
    #: The name of the role in DCP's instance profile, and the ARN of its fleet role; "" for none.
    dcp_machine_role: str = ""
    dcp_fleet_role: str = ""
    live: tuple[str, ...] = ()


def digest(template: str) -> str:
    """Which template a stack was made from."""
    return hashlib.sha256(template.encode()).hexdigest()[:16]


def is_ours(stack: StackView) -> bool:
    """Made by `account create`, for whatever deployment."""
    return TAG_TEMPLATE in stack.tags and TAG_DEPLOYMENT in stack.tags


def names(text: str) -> tuple[str, ...]:
    """The parts of a list as CloudFormation writes it."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def environment(stack: StackView) -> dict[str, str]:
    """The deployment's environment, as the stack tells it."""
    return {
        variable: stack.outputs[output]
        for output, variable in VARIABLES.items()
        if stack.outputs.get(output)
    }
