"""One emulator for all tests of the room; each test gets it empty, and must talk to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.moto_api._internal.models import moto_api_backend

from chalicelib.aws.clients import Clients
from chalicelib.aws.services import Services
from chalicelib.settings import Settings
from local.aws import EmbeddedAWS, environment
from tests.aws.wire import Wire

BUCKET = "cellfleet-local"


class Clock:
    """Virtual time: starts at a fixed moment and moves when told."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@dataclass(frozen=True)
class World:
    """The emulator, a clock, and processes of the control plane on it."""

    aws: EmbeddedAWS
    wire: Wire
    clock: Clock
    clients: Clients

    def process(self, owner: str = "first", **settings: Any) -> Services:
        """A process of the control plane; `owner` names it in leases."""
        return Services(
            settings=replace(Settings.from_environment(self.aws.env), **settings),
            clients=self.clients,
            now=self.clock,
            owner=owner,
        )

    def put(self, key: str, body: Any, bucket: str = BUCKET) -> str:
        """Put an object; its version."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self.client("s3").put_object(Bucket=bucket, Key=key, Body=data)
        return str(answer.get("VersionId", ""))

    def read(self, key: str, bucket: str = BUCKET) -> Any:
        return json.loads(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def keys(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2")
        return [
            item["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        ]

    def client(self, service: str) -> Any:
        return getattr(self.clients, service)

    def messages(self, queue: str, *, delete: bool = False) -> list[dict[str, Any]]:
        """Receive every visible message; they stay in flight unless deleted."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        bodies = []
        while found := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=43_200
        ).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in found]
            for message in found if delete else ():
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@pytest.fixture(scope="package")
def _emulator() -> Iterator[tuple[EmbeddedAWS, Wire]]:
    wire = Wire()
    with EmbeddedAWS(bucket=BUCKET, wire=wire.wrap) as aws:
        yield aws, wire


@pytest.fixture(scope="package")
def _clients(_emulator: tuple[EmbeddedAWS, Wire]) -> Iterator[Clients]:
    """Made once: boto3 takes longer to read its models than the emulator to answer."""
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    with environment(_emulator[0].env):
        clients = Clients("us-east-1", session)
        for service in [
            "s3",
            "sqs",
            "ecs",
            "ec2",
            "logs",
            "cloudwatch",
            "sns",
            "ssm",
            "sts",
            "tagging",
        ]:
            getattr(clients, service)
        yield clients


@pytest.fixture
def world(_emulator: tuple[EmbeddedAWS, Wire], _clients: Clients) -> Iterator[World]:
    """The emulator, empty."""
    aws, wire = _emulator
    wire.mend()
    moto_api_backend.reset()
    aws.furnish()
    with environment(aws.env):
        yield World(aws, wire, Clock(), _clients)
    wire.mend()


@pytest.fixture(autouse=True)
def _talks_to_the_emulator(
    request: pytest.FixtureRequest, _emulator: tuple[EmbeddedAWS, Wire]
) -> Iterator[None]:
    """A test of this room that sends the emulator nothing tests nothing: it fails."""
    wire = _emulator[1]
    if "world" in request.fixturenames:
        request.getfixturevalue("world")
    before = wire.requests
    yield
    if wire.requests == before:
        pytest.fail("this test of the AWS room sent no request to the emulator")
