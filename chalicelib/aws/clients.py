"""The AWS clients, each made when first used, all with the same patience."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

#: How many requests a submission keeps in flight. SQS answers in about 10 ms and boto3 needs 1 to
#: 1.5 ms of processor time a request; measured, 20 threads send a fifth faster than 12, 24 no faster.
SENDERS = 20


class Clients:
    """Lazy clients of one region. Endpoints come from AWS_ENDPOINT_URL, as boto3 reads it."""

    def __init__(self, region: str, session: boto3.Session | None = None):
        self._session = session or boto3.Session(region_name=region)
        self._region = region
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=3,
            read_timeout=10,
            max_pool_connections=SENDERS + 2,
        )

    @cached_property
    def s3(self) -> S3Client:
        # Links are signed in the way that every region and encrypted buckets take.
        config = self._config.merge(Config(signature_version="s3v4"))
        return self._session.client("s3", region_name=self._region, config=config)

    @cached_property
    def sqs(self) -> SQSClient:
        # Millions of messages: boto3's check of their form, which is ours, and the user agent
        # that it composes anew for each request cost a sixth.
        config = self._config.merge(Config(parameter_validation=False, user_agent="cellfleet"))
        return self._session.client("sqs", region_name=self._region, config=config)

    @cached_property
    def ecs(self) -> ECSClient:
        return self._session.client("ecs", region_name=self._region, config=self._config)

    @cached_property
    def ec2(self) -> EC2Client:
        return self._session.client("ec2", region_name=self._region, config=self._config)

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        # boto3 takes the limit of one export at a time for throttling, and would wait it out.
        config = self._config.merge(Config(retries={"mode": "standard", "total_max_attempts": 2}))
        return self._session.client("logs", region_name=self._region, config=config)

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        return self._session.client("cloudwatch", region_name=self._region, config=self._config)

    @cached_property
    def sns(self) -> SNSClient:
        return self._session.client("sns", region_name=self._region, config=self._config)

    @cached_property
    def tagging(self) -> Any:
        """The Resource Groups Tagging API."""
        return self._session.client(
            "resourcegroupstaggingapi", region_name=self._region, config=self._config
        )

    @cached_property
    def ssm(self) -> SSMClient:
        return self._session.client("ssm", region_name=self._region, config=self._config)

    @cached_property
    def sts(self) -> STSClient:
        return self._session.client("sts", region_name=self._region, config=self._config)

    @cached_property
    def iam(self) -> IAMClient:
        return self._session.client("iam", region_name=self._region, config=self._config)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        return self._session.client("cloudformation", region_name=self._region, config=self._config)

    @cached_property
    def quotas(self) -> Any:
        """Service Quotas."""
        return self._session.client("service-quotas", region_name=self._region, config=self._config)

    @property
    def region(self) -> str:
        return self._region

    @cached_property
    def account(self) -> str:
        """The account's number, asked once."""
        return self.sts.get_caller_identity()["Account"]
