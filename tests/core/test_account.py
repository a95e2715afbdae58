"""What `account create` and `delete` would do, decided from what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.account import (
    TAG_TEMPLATE,
    AccountRequest,
    AccountView,
    BucketView,
    StackView,
    SubnetView,
    digest,
)
from chalicelib.core.account_notes import notes
from chalicelib.core.account_plan import (
    DeleteStack,
    MakeLinkedRole,
    MakeStack,
    PutBucketPolicy,
    decide_create,
    decide_delete,
)
from chalicelib.core.bucket_policy import OURS, export_statements, with_statements, without_ours
from chalicelib.core.naming import TAG_DEPLOYMENT
from chalicelib.errors import ConflictError, InputError, NotFoundError

TEMPLATE = "Resources: {}"
BUCKET = "my-deployment"
REQUEST = AccountRequest(bucket=BUCKET)
THEIRS = {
    "Sid": "Lab",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}


def own(policy: Mapping[str, Any] | None = None, region: str = "eu-west-1") -> BucketView:
    return BucketView(
        state="own", region=region, policy=policy, versioned=True, public_blocked=True
    )


def account(**changes: Any) -> AccountView:
    """A fresh account."""
    return replace(
        AccountView(
            account="123456789012",
            region="eu-west-1",
            buckets={BUCKET: BucketView(state="absent")},
            default_vpc="vpc-1",
            subnets=(
                SubnetView(subnet="subnet-a", vpc="vpc-1", zone="eu-west-1a"),
                SubnetView(subnet="subnet-b", vpc="vpc-1", zone="eu-west-1b"),
                SubnetView(subnet="subnet-c", vpc="vpc-2", zone="eu-west-1a"),
            ),
        ),
        **changes,
    )


def the_stack(plan: Any) -> MakeStack:
    [made] = [action for action in plan if isinstance(action, MakeStack)]
    return made


def after(request: AccountRequest, seen: AccountView) -> AccountView:
    """The account when everything in the plan is done."""
    plan = decide_create(request, seen, TEMPLATE)
    stack = seen.stack
    buckets = dict(seen.buckets)
    roles = set(seen.linked_roles)
    for action in plan:
        match action:
            case MakeStack():
                stack = StackView(
                    status="CREATE_COMPLETE", parameters=action.parameters, tags=action.tags
                )
                if buckets[request.bucket].state == "absent":
                    ours = export_statements(
                        request.bucket, region=seen.region, account=seen.account
                    )
                    buckets[request.bucket] = own(with_statements(None, ours))
            case DeleteStack():
                stack = None
            case MakeLinkedRole():
                roles.add(action.service)
            case PutBucketPolicy():
                buckets[action.bucket] = replace(buckets[action.bucket], policy=action.policy)
    return replace(seen, stack=stack, buckets=buckets, linked_roles=frozenset(roles))


# --- create --------------------------------------------------------------------------------------


def test_in_a_fresh_account_everything_is_made() -> None:
    plan = decide_create(REQUEST, account(), TEMPLATE)
    assert [str(action) for action in plan] == [
        "make the role that ecs.amazonaws.com takes in an account",
        "make the role that spot.amazonaws.com takes in an account",
        "make the role that spotfleet.amazonaws.com takes in an account",
        "make the stack cellfleet",
    ]
    made = the_stack(plan).parameters
    assert (made["MakeBucket"], made["Vpc"], made["Subnets"]) == (
        "true",
        "vpc-1",
        "subnet-a,subnet-b",
    )
    assert made["DcpImages"] == "false"


OTHER = AccountRequest(
    bucket=BUCKET,
    buckets=("other",),
    read_buckets=("images",),
    dcp_images=True,
    keep_runs_days=30,
    subnets=("subnet-c",),
    email="lab@example.org",
)


@pytest.mark.parametrize("request_", [REQUEST, OTHER])
@pytest.mark.parametrize("bucket", [BucketView(state="absent"), own(), own({"Statement": THEIRS})])
def test_a_second_create_does_nothing(request_: AccountRequest, bucket: BucketView) -> None:
    done = after(request_, account(buckets={BUCKET: bucket, "other": own()}))
    assert decide_create(request_, done, TEMPLATE) == ()
    # Nor does one that asks for nothing: what was chosen stays.
    assert decide_create(REQUEST, done, TEMPLATE) == ()


def test_only_what_was_asked_for_changes() -> None:
    done = after(OTHER, account())
    plan = decide_create(AccountRequest(bucket=BUCKET, buckets=()), done, TEMPLATE)
    assert [str(action) for action in plan] == ["change the stack cellfleet: Buckets"]
    assert the_stack(plan).parameters == {**done.stack.parameters, "Buckets": ""}  # type: ignore[union-attr]


def test_a_newer_template_changes_the_stack() -> None:
    done = after(REQUEST, account())
    plan = decide_create(REQUEST, done, TEMPLATE + "\n")
    assert [str(a) for a in plan] == ["change the stack cellfleet: a newer template"]


def test_a_stack_that_never_came_to_be_is_made_anew() -> None:
    done = after(REQUEST, account(buckets={BUCKET: own()}))
    assert done.stack is not None
    broken = replace(done, stack=replace(done.stack, status="ROLLBACK_COMPLETE"))
    assert [str(action) for action in decide_create(REQUEST, broken, TEMPLATE)] == [
        "delete the stack cellfleet: it is ROLLBACK_COMPLETE",
        "make the stack cellfleet",
    ]


def test_an_existing_bucket_is_kept_and_its_policy_extended() -> None:
    seen = account(buckets={BUCKET: own({"Version": "2012-10-17", "Statement": THEIRS})})
    plan = decide_create(REQUEST, seen, TEMPLATE)
    assert the_stack(plan).parameters["MakeBucket"] == "false"
    [put] = [action for action in plan if isinstance(action, PutBucketPolicy)]
    assert put.policy is not None
    theirs, *ours = put.policy["Statement"]
    assert theirs == THEIRS
    assert [part["Sid"] for part in ours] == list(OURS)


def test_a_bucket_out_of_reach_or_elsewhere_is_refused() -> None:
    with pytest.raises(ConflictError, match="another account's"):
        decide_create(REQUEST, account(buckets={BUCKET: BucketView(state="foreign")}), TEMPLATE)
    with pytest.raises(InputError, match="--region us-west-2"):
        decide_create(REQUEST, account(buckets={BUCKET: own(region="us-west-2")}), TEMPLATE)
    gone = replace(after(REQUEST, account()), buckets={BUCKET: BucketView(state="absent")})
    with pytest.raises(NotFoundError, match="was deleted"):
        decide_create(REQUEST, gone, TEMPLATE)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"subnets": ("subnet-a", "subnet-x")}, "subnet-x"),
        ({"subnets": ("subnet-a", "subnet-c")}, "vpc-1, vpc-2"),
        ({"vpc": "vpc-2", "subnets": ("subnet-a",)}, "vpc-2"),
        ({"vpc": "vpc-9"}, "vpc-9"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        decide_create(replace(REQUEST, **changes), account(), TEMPLATE)


def test_without_a_default_network_one_must_be_named() -> None:
    seen = account(default_vpc="")
    with pytest.raises(InputError, match="--vpc"):
        decide_create(REQUEST, seen, TEMPLATE)
    plan = decide_create(replace(REQUEST, vpc="vpc-2"), seen, TEMPLATE)
    assert the_stack(plan).parameters["Subnets"] == "subnet-c"


def test_roles_of_dcp_are_reused_when_asked_for() -> None:
    asked = replace(REQUEST, existing_dcp_roles=True)
    with pytest.raises(NotFoundError, match="ecsInstanceRole and the role aws-ec2-spot-fleet"):
        decide_create(asked, account(), TEMPLATE)
    fleet = "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"
    seen = account(dcp_machine_role="ecsInstanceRole", dcp_fleet_role=fleet)
    made = the_stack(decide_create(asked, seen, TEMPLATE)).parameters
    assert (made["InstanceProfile"], made["InstanceRole"], made["FleetRole"]) == (
        "ecsInstanceRole",
        "ecsInstanceRole",
        fleet,
    )
    back = decide_create(replace(REQUEST, existing_dcp_roles=False), after(asked, seen), TEMPLATE)
    assert the_stack(back).parameters["FleetRole"] == ""


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({}, "not made by CellFleet"),
        ({TAG_DEPLOYMENT: "elses", TAG_TEMPLATE: digest(TEMPLATE)}, "deployment bucket elses"),
    ],
)
def test_a_stack_of_somebody_else_is_left_alone(tags: Mapping[str, str], told: str) -> None:
    seen = account(stack=StackView(status="CREATE_COMPLETE", tags=tags))
    with pytest.raises(ConflictError, match=told):
        decide_create(REQUEST, seen, TEMPLATE)


# --- delete --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [None, {"Version": "2012-10-17", "Statement": [THEIRS]}])
def test_delete_takes_back_what_create_did_and_no_more(policy: Any) -> None:
    done = after(REQUEST, account(buckets={BUCKET: own(policy)}))
    plan = decide_delete("cellfleet", done)
    assert plan == (
        DeleteStack(name="cellfleet"),
        PutBucketPolicy(bucket=BUCKET, policy=policy, why="take log export out of"),
    )


def test_nothing_is_deleted_while_runs_are_live() -> None:
    done = replace(after(REQUEST, account()), live=("App-20260101T000000abcd",))
    with pytest.raises(ConflictError, match="App-20260101T000000abcd"):
        decide_delete("cellfleet", done)


def test_delete_of_what_is_not_there_or_not_ours() -> None:
    assert decide_delete("cellfleet", account()) == ()
    with pytest.raises(ConflictError, match="it stays"):
        decide_delete("cellfleet", account(stack=StackView(status="CREATE_COMPLETE")))


# --- policies and notes --------------------------------------------------------------------------


def test_merging_twice_is_merging_once() -> None:
    ours = export_statements("b", region="eu-west-1", account="123456789012")
    once = with_statements({"Id": "lab", "Statement": [THEIRS]}, ours)
    assert with_statements(once, ours) == once
    assert without_ours(once) == {"Id": "lab", "Statement": [THEIRS]}


def test_what_is_left_alone_is_told() -> None:
    weak = replace(own(), versioned=False, public_blocked=False)
    told = notes(after(REQUEST, account(buckets={BUCKET: weak})), BUCKET)
    assert [word for word in ("versions", "public", "encrypted") if word in " ".join(told)] == [
        "versions",
        "public",
        "encrypted",
    ]
    assert notes(after(REQUEST, account()), BUCKET) == ()


def test_owners_of_other_buckets_are_told_what_to_add() -> None:
    done = after(
        replace(REQUEST, buckets=("theirs",), read_buckets=("gone",)),
        account(
            buckets={
                BUCKET: own(),
                "theirs": BucketView(state="foreign"),
                "gone": BucketView(state="absent"),
            }
        ),
    )
    assert done.stack is not None
    role = "arn:aws:iam::123456789012:role/cellfleet/TaskRole"
    stack = replace(done.stack, outputs={"TaskRole": role})
    told = [note for note in notes(replace(done, stack=stack), BUCKET) if "theirs" in note]
    assert json.dumps([role]) in told[0]
    assert "s3:PutObject" in told[0]
    assert any("gone doesn't exist" in note for note in notes(done, BUCKET))
