"""What EC2 says when machines don't come, told apart and in plain words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.ailment import FATAL, MACHINES, SLOW, WAIT, FleetEvent
from chalicelib.core.machine_trouble import machine_ailments, refused
from tests.core.factories import NOW, config

SPEC = '"m5.xlarge, ami-0e5f6071829304152, Linux/UNIX, us-east-1d while launching spot instance"'
REPEATED = (
    f"Repeated errors have occurred processing the launch specification {SPEC}. It will not be "
    "retried for at least 13 minutes. Error message: "
)
#: Events as EC2 writes them, and what they are.
HISTORIES = [
    ("error", "spotInstanceCountLimitExceeded", "", "quota", SLOW),
    (
        "information",
        "launchSpecTemporarilyBlacklisted",
        REPEATED + "Spot Max Instance Count Exceeded",
        "quota",
        SLOW,
    ),
    (
        "information",
        "launchSpecTemporarilyBlacklisted",
        REPEATED + "There is no Spot capacity available that matches your request. (Service: "
        "AmazonEC2; Status Code: 500; Error Code: InsufficientInstanceCapacity)",
        "capacity",
        WAIT,
    ),
    (
        "information",
        "launchSpecUnusable",
        "m5.xlarge, ami-0e5f6071829304152, Linux/UNIX, us-east-1a, Spot bid price is less than "
        "Spot market price $0.0712",
        "price",
        WAIT,
    ),
    ("information", "fleetProgressHalted", "", "price", WAIT),
    (
        "information",
        "launchSpecUnusable",
        "m5.xlarge, ami-0e5f6071829304152, Linux/UNIX, us-east-1e, Spot bid price is less than "
        "Spot market price $-1.0000",
        "type",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX (Amazon VPC): There are not enough free addresses in "
        "subnet 'subnet-ad3ce9f4' to satisfy the requested number of instances.",
        "addresses",
        WAIT,
    ),
    ("error", "iamFleetRoleInvalid", "", "fleet-role", FATAL),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: The image id '[ami-0e5f]' does not exist",
        "image",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: The subnet ID 'subnet-0a1b' does not exist",
        "subnet",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: The security group 'sg-0d4e' does not exist",
        "security-group",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: The key pair 'lab' does not exist",
        "key",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: Value (arn:aws:iam::1:instance-profile/x) for parameter "
        "iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
        "profile",
        FATAL,
    ),
    (
        "information",
        "launchSpecTemporarilyBlacklisted",
        REPEATED + "Your requested instance type (m5.xlarge) is not supported in your requested "
        "Availability Zone (us-east-1e).",
        "type",
        FATAL,
    ),
    (
        "information",
        "launchSpecTemporarilyBlacklisted",
        REPEATED + "You are not authorized to perform this operation.",
        "permission",
        FATAL,
    ),
    (
        "error",
        "spotFleetRequestConfigurationInvalid",
        "m5.xlarge, ami-0e5f, Linux/UNIX: Value",
        "configuration",
        FATAL,
    ),
]
GENERAL = FleetEvent(
    at=NOW,
    type="error",
    subtype="allLaunchSpecsTemporarilyBlacklisted",
    text="Several attempts to launch instances have failed. Either the request could not be "
    "satisfied or the configuration is not valid. We will retry the request again later.",
)


@pytest.mark.parametrize(("kind_of_event", "subtype", "text", "kind", "course"), HISTORIES)
def test_each_trouble_is_told_apart(
    kind_of_event: str, subtype: str, text: str, kind: str, course: str
) -> None:
    event = FleetEvent(at=NOW, type=kind_of_event, subtype=subtype, text=text)
    (found,) = machine_ailments([event, GENERAL], config(MACHINE_PRICE=0.05), NOW)
    assert (found.kind, found.course, found.where) == (kind, course, MACHINES)
    assert "{" not in found.sentence
    assert len(found.sentence) < 700


def test_the_sentence_names_what_was_asked_for_and_what_it_costs() -> None:
    event = FleetEvent(
        at=NOW,
        type="information",
        subtype="launchSpecUnusable",
        text="Spot bid price is less than Spot market price $0.0712",
    )
    (found,) = machine_ailments([event], config(MACHINE_PRICE=0.05), NOW)
    assert "MACHINE_PRICE is $0.05 an hour" in found.sentence
    assert "m5.xlarge cost more now ($0.0712)" in found.sentence


def test_one_of_each_kind_with_the_latest_words() -> None:
    def quota(text: str, minutes: int) -> FleetEvent:
        at = NOW + timedelta(minutes=minutes)
        return FleetEvent(at=at, type="error", subtype="spotInstanceCountLimitExceeded", text=text)

    found = machine_ailments([quota("late", 5), quota("early", 1)], config(), NOW)
    assert [ailment.sentence.endswith("AWS says: late") for ailment in found] == [True]


def test_a_trouble_that_nobody_has_seen_before_is_told_in_aws_own_words() -> None:
    found = machine_ailments([GENERAL], config(), NOW)
    assert [(a.kind, a.course) for a in found] == [("configuration", FATAL)]
    assert "Several attempts" in found[0].sentence


def test_what_goes_well_is_no_trouble() -> None:
    launched = FleetEvent(at=NOW, type="instanceChange", subtype="launched", text="m5.xlarge")
    other = FleetEvent(at=NOW, type="information", subtype="registerWithLoadBalancersFailed")
    assert machine_ailments([launched, other], config(), NOW) == ()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("UnauthorizedOperation: You are not authorized to perform this operation.", "permission"),
        ("MaxSpotFleetRequestCountExceeded: Too many requests", "fleet-quota"),
        (
            "InvalidSpotFleetRequestConfig: The specified Subnet: subnet-1 cannot be used with the "
            "specified Availability Zone: us-east-1a.",
            "subnet",
        ),
        ("InvalidParameter: The IamFleetRole provided is invalid", "fleet-role"),
        ("InvalidParameterValue: something new", "configuration"),
        (
            "config fleet file: 1 problem\n  - ImageId is ami-1: a machine image (AMI) that exists "
            "in this region",
            "image",
        ),
    ],
)
def test_a_refused_request_is_recognised(said: str, kind: str) -> None:
    found = refused(said, config(), NOW)
    assert found.kind == kind
    assert "\n" not in found.sentence


@given(st.text(), st.text())
def test_any_text_is_understood_somehow_and_kept_short(subtype: str, text: str) -> None:
    event = FleetEvent(at=NOW, type="error", subtype=subtype, text=text)
    (found,) = machine_ailments([event], config(), NOW)
    assert len(found.sentence) < 1000
