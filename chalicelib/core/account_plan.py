"""What to do so that an account is prepared for CellFleet, or no longer is. Pure.

A second `create` changes what differs, and nothing else. `delete` removes what `create` made:
never a bucket, an object, or a role that was there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.account import (
    DCP_FLEET_ROLE,
    DCP_PROFILE,
    LINKED_ROLES,
    LINKED_ROLES_OF_DCP,
    TAG_TEMPLATE,
    AccountRequest,
    AccountView,
    BucketView,
    StackView,
    digest,
    is_ours,
    names,
)
from chalicelib.core.bucket_policy import export_statements, same, with_statements, without_ours
from chalicelib.core.naming import TAG_DEPLOYMENT
from chalicelib.errors import ConflictError, InputError, NotFoundError, Problem


@dataclass(frozen=True, kw_only=True)
class MakeLinkedRole:
    service: str

    def __str__(self) -> str:
        return f"make the role that {self.service} takes in an account"


@dataclass(frozen=True, kw_only=True)
class MakeStack:
    """`update`: it is there, and differs."""

    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    update: bool = False
    why: str = ""

    def __str__(self) -> str:
        what = f"change the stack {self.name}" if self.update else f"make the stack {self.name}"
        return f"{what}: {self.why}" if self.why else what


@dataclass(frozen=True, kw_only=True)
class DeleteStack:
    name: str
    why: str = ""

    def __str__(self) -> str:
        return f"delete the stack {self.name}{': ' if self.why else ''}{self.why}"


@dataclass(frozen=True, kw_only=True)
class PutBucketPolicy:
    """`policy` None: the bucket's policy holds nothing else and goes."""

    bucket: str
    policy: Mapping[str, Any] | None
    why: str

    def __str__(self) -> str:
        return f"{self.why} the policy of the bucket {self.bucket}"


AccountAction = MakeLinkedRole | MakeStack | DeleteStack | PutBucketPolicy
AccountPlan = tuple[AccountAction, ...]


def decide_create(request: AccountRequest, seen: AccountView, template: str) -> AccountPlan:
    """The steps that are left. Raises InputError, ConflictError, NotFoundError; nothing is made
    then."""
    stack = seen.stack
    plan: list[AccountAction] = []
    if stack is not None:
        _refuse_foreign(request, stack)
        if stack.unusable:
            plan.append(DeleteStack(name=request.stack, why=f"it is {stack.status}"))
            stack = None
    parameters = _parameters(request, seen, stack)
    dcp = parameters["DcpImages"] == "true"
    plan += [
        MakeLinkedRole(service=service)
        for service in (*LINKED_ROLES, *(LINKED_ROLES_OF_DCP if dcp else ()))
        if service not in seen.linked_roles
    ]
    tags = {TAG_DEPLOYMENT: request.bucket, TAG_TEMPLATE: digest(template)}
    changed = _changes(stack, parameters, tags)
    if stack is None or changed:
        plan.append(
            MakeStack(
                name=request.stack,
                parameters=parameters,
                tags=tags,
                update=stack is not None,
                why=", ".join(changed),
            )
        )
    plan += _export_policies(parameters, seen)
    return tuple(plan)


def decide_delete(stack_name: str, seen: AccountView) -> AccountPlan:
    """Raises ConflictError while runs are live, or if the stack isn't ours."""
    stack = seen.stack
    if stack is None:
        return ()
    if not is_ours(stack):
        raise ConflictError(f"the stack {stack_name} was not made by CellFleet: it stays")
    if seen.live:
        raise ConflictError(
            f"{len(seen.live)} or more runs are live ({', '.join(seen.live[:3])}): without their "
            "roles nobody could end their machines. Stop them first: python run.py stop APP"
        )
    plan: list[AccountAction] = [DeleteStack(name=stack_name)]
    for name, bucket in seen.buckets.items():
        left = without_ours(bucket.policy)
        if bucket.state == "own" and not same(left, bucket.policy):
            plan.append(PutBucketPolicy(bucket=name, policy=left, why="take log export out of"))
    return tuple(plan)


def _refuse_foreign(request: AccountRequest, stack: StackView) -> None:
    if not is_ours(stack):
        raise ConflictError(
            f"a stack {request.stack} is there already and was not made by CellFleet; "
            "choose another name with --stack"
        )
    other = stack.tags[TAG_DEPLOYMENT]
    if other != request.bucket:
        raise ConflictError(
            f"the stack {request.stack} belongs to the deployment bucket {other}, not to "
            f"{request.bucket}; choose another name with --stack for a second deployment"
        )


def _parameters(
    request: AccountRequest, seen: AccountView, stack: StackView | None
) -> dict[str, str]:
    """All of the template's parameters. What wasn't asked for stays as it is."""
    old = dict(stack.parameters) if stack else {}

    def listed(given: tuple[str, ...] | None, name: str) -> str:
        return old.get(name, "") if given is None else ",".join(part for part in given if part)

    def text(given: object, name: str, default: str = "") -> str:
        return old.get(name, default) if given is None else str(given)

    vpc, subnets = _network(request, seen, old)
    dcp = old.get("DcpImages", "false") if request.dcp_images is None else _yes(request.dcp_images)
    return {
        "Bucket": request.bucket,
        "MakeBucket": _yes(_makes_bucket(request, seen, old)),
        "KeepRunsDays": text(request.keep_runs_days, "KeepRunsDays", "0"),
        "Buckets": listed(request.buckets, "Buckets"),
        "ReadBuckets": listed(request.read_buckets, "ReadBuckets"),
        "KmsKeys": listed(request.kms_keys, "KmsKeys"),
        "Vpc": vpc,
        "Subnets": ",".join(subnets),
        "SecurityGroup": text(request.security_group, "SecurityGroup"),
        **_machine_roles(request, seen, old),
        "DcpImages": dcp,
        "Email": text(request.email, "Email"),
    }


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _makes_bucket(request: AccountRequest, seen: AccountView, old: Mapping[str, str]) -> bool:
    bucket = seen.buckets[request.bucket]
    if bucket.state == "foreign":
        raise ConflictError(
            f"the bucket {request.bucket} is another account's, or you may not look at it. The "
            "deployment bucket must be this account's; name others with --bucket"
        )
    if bucket.state == "absent":
        if old.get("MakeBucket"):
            raise NotFoundError(
                f"the bucket {request.bucket} was deleted, and the stack knows nothing of it: "
                "python run.py account delete, then create it again"
            )
        return True
    if bucket.region != seen.region:
        problem = Problem(
            where=f"the bucket {request.bucket}",
            found=f"in {bucket.region}",
            expected=f"in {seen.region}, where CellFleet is to run",
            hint=f"--region {bucket.region}, or another bucket",
        )
        raise InputError("account", [problem])
    return old.get("MakeBucket") == "true"


def _network(
    request: AccountRequest, seen: AccountView, old: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """The VPC, and the subnets in it that machines may be started in."""
    by_id = {view.subnet: view for view in seen.subnets}
    wanted = request.subnets
    if wanted is None and request.vpc in (None, old.get("Vpc")):
        wanted = names(old.get("Subnets", "")) or None
    if wanted is None:
        vpc = request.vpc or seen.default_vpc
        inside = tuple(view.subnet for view in seen.subnets if view.vpc == vpc)
        if inside:
            return vpc, inside
        expected = "a VPC with subnets" if vpc else "a VPC: the account has no default one"
        raise _network_error("--vpc", vpc, expected)
    missing = [subnet for subnet in wanted if subnet not in by_id]
    if missing:
        raise _network_error("--subnet", ", ".join(missing), f"subnets in {seen.region}")
    vpcs = sorted({by_id[subnet].vpc for subnet in wanted})
    if len(vpcs) != 1 or request.vpc not in (None, vpcs[0]):
        raise _network_error("--subnet", ", ".join(vpcs), f"subnets of one VPC {request.vpc or ''}")
    return vpcs[0], wanted


def _network_error(where: str, found: str, expected: str) -> InputError:
    return InputError("account", [Problem(where=where, found=found, expected=expected.strip())])


def _machine_roles(
    request: AccountRequest, seen: AccountView, old: Mapping[str, str]
) -> dict[str, str]:
    """Made here, or those that DCP's set-up made."""
    keys = ("InstanceProfile", "InstanceRole", "FleetRole")
    if request.existing_dcp_roles is None and old:
        return {key: old.get(key, "") for key in keys}
    if not request.existing_dcp_roles:
        return {"InstanceProfile": "", "InstanceRole": "none", "FleetRole": ""}
    missing = [
        what
        for what, found in (
            (f"the instance profile {DCP_PROFILE}", seen.dcp_machine_role),
            (f"the role {DCP_FLEET_ROLE}", seen.dcp_fleet_role),
        )
        if not found
    ]
    if missing:
        raise NotFoundError(
            f"--existing-dcp-roles: {' and '.join(missing)} can't be found in account "
            f"{seen.account}; without the option, CellFleet's own roles are made"
        )
    return dict(zip(keys, (DCP_PROFILE, seen.dcp_machine_role, seen.dcp_fleet_role), strict=True))


def _changes(
    stack: StackView | None, parameters: Mapping[str, str], tags: Mapping[str, str]
) -> list[str]:
    if stack is None:
        return []
    changed = [name for name, value in parameters.items() if stack.parameters.get(name) != value]
    if stack.tags.get(TAG_TEMPLATE) != tags[TAG_TEMPLATE]:
        changed.append("a newer template")
    if not stack.well:
        changed.append(f"it is {stack.status}")
    return changed


def _export_policies(parameters: Mapping[str, str], seen: AccountView) -> list[AccountAction]:
    """Log export, for buckets of this account in this region that are there already."""
    others = names(parameters["Buckets"])
    wanted = others if parameters["MakeBucket"] == "true" else (parameters["Bucket"], *others)
    plan: list[AccountAction] = []
    for name in wanted:
        bucket = seen.buckets.get(name, BucketView(state="absent"))
        ours = export_statements(
            name, region=seen.region, account=seen.account, partition=seen.partition
        )
        merged = with_statements(bucket.policy, ours)
        ours_here = bucket.state == "own" and bucket.region == seen.region
        if ours_here and not same(merged, bucket.policy):
            plan.append(PutBucketPolicy(bucket=name, policy=merged, why="add log export to"))
    return plan
