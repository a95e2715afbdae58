"""The HTTP API over a real socket, in front of an emulator that each test gets empty."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from moto.moto_api._internal.models import moto_api_backend

from chalicelib.aws.services import Services
from chalicelib.contract import LedgerEntry
from local.api import PREFIX, LocalApi
from local.aws import EmbeddedAWS, environment
from local.serve import project_app
from tests.aws.samples import config_keys, job_file

BUCKET = "cellfleet-local"


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Api:
    """A client of the API, and a look behind it."""

    aws: EmbeddedAWS

    @property
    def url(self) -> str:
        return f"{self.aws.endpoint}{PREFIX}"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; `path` goes out as it is. A body that isn't bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Idempotency-Key"] = key
        where = urlsplit(self.aws.endpoint)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.putrequest(method, PREFIX + path, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(data or b"")))
            connection.endheaders(data)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return Reply(answer.status, json.loads(text), dict(answer.getheaders()))

    def get(self, path: str) -> Any:
        """The body of an answer that must be good."""
        reply = self.call("GET", path)
        assert reply.status == 200, reply
        return reply.body

    def set_up(self, app: str = "App", **changes: Any) -> Any:
        reply = self.call("POST", f"/apps/{app}/setup", {"config": config_keys(app, **changes)})
        assert reply.status == 200, reply
        return reply.body

    def submit(self, app: str = "App", wells: int = 4, *, start: bool = False, **extra: Any) -> Any:
        start_too = str(start).lower()
        reply = self.call("POST", f"/apps/{app}/jobs?start={start_too}", job_file(wells, **extra))
        assert reply.status == 201, reply
        return reply.body

    # --- behind it

    def services(self) -> Services:
        return Services.from_environment()

    def client(self, service: str) -> Any:
        return getattr(self.services().clients, service)

    def objects(self) -> list[str]:
        return list(self.services().store.list(""))

    def everything(self) -> list[str]:
        """All that an account would hold, and be billed for."""
        sqs, ecs, ec2, logs = (self.client(name) for name in ("sqs", "ecs", "ec2", "logs"))
        fleets = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
        return [
            *self.objects(),
            *sqs.list_queues().get("QueueUrls", []),
            *ecs.list_clusters()["clusterArns"],
            *ecs.list_task_definitions()["taskDefinitionArns"],
            *(group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]),
            *(fleet["SpotFleetRequestId"] for fleet in fleets),
        ]

    def messages(self, queue: str = "AppQueue") -> list[dict[str, Any]]:
        """Every visible message, taken."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        bodies = []
        while found := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=43_200
        ).get("Messages"):
            bodies += [json.loads(message["Body"]) for message in found]
        return bodies

    def decode(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a message that was received by hand."""
        return dict(json.loads(message["Body"]))

    def record(
        self,
        message: Mapping[str, Any],
        outcome: str,
        *,
        cause: str = "",
        attempt: int = 1,
        minute: str = "20260301T1200",
        sentence: str = "",
    ) -> LedgerEntry:
        """Write an outcome into the ledger, as a worker does."""
        ours = message["cellfleet"]
        entry = LedgerEntry(
            run=ours["run"],
            minute=minute,
            submission=ours["submission"],
            job=ours["job"],
            attempt=attempt,
            outcome=outcome,
            cause=cause,
            seconds=7,
        )
        told = {"sentence": sentence, "folder": ours["folder"], "group": {"Metadata_Well": "A01"}}
        self.services().store.put(entry.key(), json.dumps(told).encode())
        return entry


@pytest.fixture(scope="package")
def _server() -> Iterator[EmbeddedAWS]:
    local = LocalApi()
    with EmbeddedAWS(bucket=BUCKET, api=local) as aws:
        with environment(aws.env):
            local.connect(project_app())
        yield aws


@pytest.fixture
def api(_server: EmbeddedAWS) -> Iterator[Api]:
    moto_api_backend.reset()
    _server.furnish()
    with environment(_server.env):
        yield Api(_server)
