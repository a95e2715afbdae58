"""The deployment's environment."""

from __future__ import annotations

import pytest

from chalicelib.errors import ConfigError
from chalicelib.settings import Settings


def test_a_bucket_is_enough() -> None:
    assert Settings.from_environment({"CELLFLEET_BUCKET": "state"}) == Settings(
        bucket="state",
        region="us-east-1",
        subnets=(),
        security_groups=(),
        instance_profile="ecsInstanceRole",
        fleet_role="aws-ec2-spot-fleet-tagging-role",
        task_role="",
        execution_role="",
        worker_image="",
    )


def test_everything() -> None:
    environment = {
        "CELLFLEET_BUCKET": " state ",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "CELLFLEET_SUBNETS": "subnet-1, subnet-2,,",
        "CELLFLEET_SECURITY_GROUPS": "sg-1",
        "CELLFLEET_INSTANCE_PROFILE": "machine",
        "CELLFLEET_FLEET_ROLE": "fleet",
        "CELLFLEET_TASK_ROLE": "worker",
        "CELLFLEET_EXECUTION_ROLE": "logs",
        "CELLFLEET_WORKER_IMAGE": "lab/cellfleet-worker:0.1.0_4.2.8",
        "CELLFLEET_TOPIC": "arn:aws:sns:eu-west-1:123456789012:lab",
        "HOME": "/root",
    }
    assert Settings.from_environment(environment) == Settings(
        bucket="state",
        region="eu-west-1",
        subnets=("subnet-1", "subnet-2"),
        security_groups=("sg-1",),
        instance_profile="machine",
        fleet_role="fleet",
        task_role="worker",
        execution_role="logs",
        worker_image="lab/cellfleet-worker:0.1.0_4.2.8",
        topic="arn:aws:sns:eu-west-1:123456789012:lab",
    )


def test_the_default_region_stands_in() -> None:
    found = Settings.from_environment({"CELLFLEET_BUCKET": "b", "AWS_DEFAULT_REGION": "eu-west-2"})
    assert found.region == "eu-west-2"


@pytest.mark.parametrize("environment", [{}, {"CELLFLEET_BUCKET": ""}, {"CELLFLEET_BUCKET": "  "}])
def test_without_a_bucket_the_user_is_told_what_to_type(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="export CELLFLEET_BUCKET=your-bucket"):
        Settings.from_environment(environment)
