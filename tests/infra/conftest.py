"""The stack of infra/account.yaml, made by the emulator's CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.aws import EmbeddedAWS

TEMPLATE = Path(__file__).resolve().parents[2] / "infra" / "account.yaml"
ACCOUNT = "123456789012"
#: Every condition of the template turned on.
ALL = {
    "Buckets": "other-lab,other-results",
    "ReadBuckets": "public-images",
    "KmsKeys": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555",
    "DcpImages": "true",
    "Email": "lab@example.org",
    "KeepRunsDays": "90",
}
#: Everything that can be reused is.
REUSED = {
    "MakeBucket": "false",
    "SecurityGroup": "sg-0123456789abcdef0",
    "InstanceProfile": "ecsInstanceRole",
    "InstanceRole": "ecsInstanceRole",
    "FleetRole": f"arn:aws:iam::{ACCOUNT}:role/aws-ec2-spot-fleet-tagging-role",
}

Stack = Mapping[str, Any]


@pytest.fixture(scope="package")
def aws() -> Iterator[EmbeddedAWS]:
    with EmbeddedAWS(bucket="cellfleet-local") as found:
        yield found


@pytest.fixture(scope="package")
def make(aws: EmbeddedAWS) -> Callable[[Mapping[str, str]], Stack]:
    """Make a stack with these parameters; roles by logical name, with trust and permissions."""
    cloudformation, iam, ec2 = (aws.client(s) for s in ("cloudformation", "iam", "ec2"))
    s3, subnets = aws.client("s3"), ec2.describe_subnets()["Subnets"]

    def make_stack(parameters: Mapping[str, str]) -> Stack:
        name = f"stack{uuid4().hex[:8]}"
        bucket = f"deployment-{name}"
        given = {
            "Bucket": bucket,
            "Vpc": subnets[0]["VpcId"],
            "Subnets": ",".join(subnet["SubnetId"] for subnet in subnets[:2]),
            **parameters,
        }
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        # The emulator also lists what a condition left out, without names.
        there = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for one in resources
            if "LogicalResourceId" in one
        }
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return {
            "bucket": bucket,
            "there": there,
            "outputs": {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]},
            "roles": {
                logical: {
                    "trust": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
                    "policies": [
                        iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]
                    ],
                }
                for logical, role in there.items()
                if logical.endswith("Role")
            },
            "bucket policy": _policy(s3, bucket) if "DeploymentBucket" in there else None,
        }

    return make_stack


def _policy(s3: Any, bucket: str) -> Any:
    return json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])


@pytest.fixture(scope="package")
def stacks(make: Callable[[Mapping[str, str]], Stack]) -> dict[str, Stack]:
    return {"default": make({}), "all": make(ALL), "reused": make(REUSED)}
