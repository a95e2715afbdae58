"""The account: what is there for CellFleet, and the steps that prepare it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.aws.errors import code
from chalicelib.core import keys
from chalicelib.core.account import (
    DCP_FLEET_ROLE,
    DCP_PROFILE,
    AccountView,
    BucketView,
    StackView,
    SubnetView,
    names,
)
from chalicelib.core.account_plan import (
    AccountAction,
    DeleteStack,
    MakeLinkedRole,
    MakeStack,
    PutBucketPolicy,
)
from chalicelib.errors import CellFleetError

if TYPE_CHECKING:
    from chalicelib.aws.clients import Clients

#: Live runs that are looked for: enough to say that there are some.
_LIVE = 5
_LINKED = "/aws-service-role/"


class StackFailedError(CellFleetError):
    """CloudFormation couldn't make, change or delete the stack."""


def look(clients: Clients, stack_name: str, bucket: str, buckets: Iterable[str]) -> AccountView:
    """What is there: the stack, these buckets and those that the stack names, and the network."""
    identity = clients.sts.get_caller_identity()
    account, partition = identity["Account"], identity["Arn"].split(":")[1]
    stack = look_at_stack(clients, stack_name)
    named = dict.fromkeys([bucket, *buckets])
    if stack is not None:
        for listed in ("Buckets", "ReadBuckets"):
            named |= dict.fromkeys(names(stack.parameters.get(listed, "")))
        named |= {stack.parameters.get("Bucket", ""): None}
    views = {name: _bucket(clients, name, account) for name in named if name}
    own = views.get(bucket)
    vpcs = clients.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    return AccountView(
        account=account,
        region=clients.region,
        partition=partition,
        stack=stack,
        buckets=views,
        linked_roles=frozenset(_linked_roles(clients)),
        default_vpc=vpcs[0]["VpcId"] if vpcs else "",
        subnets=tuple(_subnets(clients)),
        dcp_machine_role=_profile_role(clients, DCP_PROFILE),
        dcp_fleet_role=_role(clients, DCP_FLEET_ROLE),
        live=_live(clients, bucket) if own is not None and own.state == "own" else (),
    )


def look_at_stack(clients: Clients, name: str) -> StackView | None:
    """The stack, or None."""
    try:
        [found] = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if code(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return StackView(
        status=found["StackStatus"],
        parameters={p["ParameterKey"]: p["ParameterValue"] for p in found.get("Parameters", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )


def _bucket(clients: Clients, name: str, account: str) -> BucketView:
    try:
        head = clients.s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
    except ClientError as error:
        if code(error) in ("404", "NoSuchBucket"):
            return BucketView(state="absent")
        # Another account's, or in another region than we asked.
        if code(error) in ("403", "AccessDenied", "301", "PermanentRedirect"):
            return BucketView(state="foreign")
        raise
    blocked = _none_if_refused(
        lambda: clients.s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        absent={},
    )
    return BucketView(
        state="own",
        region=head["BucketRegion"],
        policy=_policy(clients, name),
        versioned=_none_if_refused(
            lambda: clients.s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled"
        ),
        public_blocked=None if blocked is None else bool(blocked) and all(blocked.values()),
    )


def _policy(clients: Clients, name: str) -> Mapping[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(clients.s3.get_bucket_policy(Bucket=name)["Policy"])
    except ClientError as error:
        if code(error) == "NoSuchBucketPolicy":
            return None
        raise
    return found


def _none_if_refused(ask: Any, absent: Any = None) -> Any:
    """What is only told to the user: not being allowed to look is no reason to stop."""
    try:
        return ask()
    except ClientError as error:
        return absent if code(error) == "NoSuchPublicAccessBlockConfiguration" else None


def _linked_roles(clients: Clients) -> Iterator[str]:
    """The services that have their role. The role's path names the service."""
    pages = clients.iam.get_paginator("list_roles").paginate(PathPrefix=_LINKED)
    for page in pages:
        for role in page["Roles"]:
            yield role["Path"].removeprefix(_LINKED).strip("/")


def _role(clients: Clients, name: str) -> str:
    """The ARN of a role; "" if there is none."""
    try:
        return clients.iam.get_role(RoleName=name)["Role"]["Arn"]
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return ""
        raise


def _profile_role(clients: Clients, name: str) -> str:
    """The role in an instance profile, behind its path; "" if there is none."""
    try:
        roles = clients.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return ""
        raise
    return next((role["Arn"].partition(":role/")[2] for role in roles["Roles"]), "")


def _subnets(clients: Clients) -> Iterator[SubnetView]:
    for page in clients.ec2.get_paginator("describe_subnets").paginate():
        for found in page["Subnets"]:
            yield SubnetView(
                subnet=found["SubnetId"], vpc=found["VpcId"], zone=found["AvailabilityZone"]
            )


def _live(clients: Clients, bucket: str) -> tuple[str, ...]:
    found = clients.s3.list_objects_v2(Bucket=bucket, Prefix=keys.LIVE, MaxKeys=_LIVE)
    return tuple(item["Key"].removeprefix(keys.LIVE) for item in found.get("Contents", []))


# --- the steps ---------------------------------------------------------------------------------


def carry_out(clients: Clients, action: AccountAction, template: str) -> None:
    """Start one step. A stack's isn't over when this returns."""
    match action:
        case MakeLinkedRole():
            _make_linked_role(clients, action.service)
        case MakeStack():
            _make_stack(clients, action, template)
        case DeleteStack():
            clients.cloudformation.delete_stack(StackName=action.name)
        case PutBucketPolicy(policy=None):
            clients.s3.delete_bucket_policy(Bucket=action.bucket)
        case PutBucketPolicy():
            clients.s3.put_bucket_policy(Bucket=action.bucket, Policy=json.dumps(action.policy))


def _make_linked_role(clients: Clients, service: str) -> None:
    try:
        clients.iam.create_service_linked_role(AWSServiceName=service)
    except ClientError as error:
        # Somebody, or the service itself, was faster.
        if code(error) == "InvalidInput" and "has been taken" in str(error):
            return
        raise


def _make_stack(clients: Clients, action: MakeStack, template: str) -> None:
    arguments: dict[str, Any] = {
        "StackName": action.name,
        "TemplateBody": template,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in action.parameters.items()
        ],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [{"Key": name, "Value": value} for name, value in action.tags.items()],
    }
    if not action.update:
        clients.cloudformation.create_stack(**arguments)
        return
    try:
        clients.cloudformation.update_stack(**arguments)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise


def reasons(clients: Clients, stack_name: str) -> tuple[str, ...]:
    """Why the stack's last change failed, in CloudFormation's words, the first cause first."""
    pages = clients.cloudformation.get_paginator("describe_stack_events")
    try:
        events = [
            e
            for page in islice(pages.paginate(StackName=stack_name), 3)
            for e in page["StackEvents"]
        ]
    except ClientError:
        return ()
    found = []
    for event in events:  # the newest comes first; the change began with the stack's own event
        status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
        if status.endswith("_FAILED") and reason and "cancelled" not in reason.lower():
            found.append(f"{event.get('LogicalResourceId', '')}: {reason}")
        if reason == "User Initiated":
            break
    return tuple(reversed(found))
