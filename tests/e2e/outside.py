"""CellFleet as its users see it: objects in buckets, and what AWS says is there."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from chalicelib.contract import LedgerEntry
from examples.leftovers import find_leftovers
from local.serve import LocalCellFleet

#: Seconds; a bound for a busy machine, no expectation.
PATIENCE = 200.0
#: Shared by all apps, as users share theirs.
DEAD_LETTERS = "user_DeadMessages"

T = TypeVar("T")


class Outside:
    """Plain boto3 on the embedded AWS. `logs` is where its workers' logs lie."""

    def __init__(self, fleet: LocalCellFleet, logs: Path):
        self.fleet = fleet
        self.bucket = fleet.aws.bucket
        self._logs = logs
        self._clients: dict[str, Any] = {}

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id="user", aws_secret_access_key="secret", region_name="us-east-1"
        )

    def client(self, service: str) -> Any:
        if service not in self._clients:
            make: Any = self.session.client
            self._clients[service] = make(service, endpoint_url=self.fleet.aws.endpoint)
        return self._clients[service]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    # --- the bucket ------------------------------------------------------------------------

    def put(self, key: str, body: bytes) -> str:
        """Put an object; its version."""
        answer = self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return str(answer["VersionId"])

    def upload(self, folder: Path) -> None:
        """Put all files below a folder, under their relative names."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def submit(self, app: str, job_file: Mapping[str, Any], name: str = "jobs") -> str:
        """Put a job file where it starts a run; its version."""
        return self.put(f"jobs/{app}/{name}.json", json.dumps(job_file).encode())

    def read(self, key: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2")
        return [
            item["Key"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        ]

    def versions(self, prefix: str) -> Counter[str]:
        """How often each object below a prefix was written; deletions count too."""
        pages = self.client("s3").get_paginator("list_object_versions")
        return Counter(
            item["Key"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix)
            for item in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        )

    def fetch(self, prefix: str, folder: Path) -> Path:
        """Download everything below a prefix into a folder."""
        for key in self.keys(f"{prefix}/"):
            path = folder / key.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(key))
        return folder

    # --- runs ------------------------------------------------------------------------------

    def runs(self, app: str) -> list[dict[str, Any]]:
        """The records of an app's runs, oldest first."""
        pattern = re.compile(rf"runs/{re.escape(app)}-\w+/run\.json")
        keys = [key for key in self.keys(f"runs/{app}-") if pattern.fullmatch(key)]
        return [json.loads(self.read(key)) for key in sorted(keys)]

    def finished(self, app: str, runs: int = 1) -> dict[str, Any]:
        """Wait until so many runs of an app are finished; the record of the last."""

        def last() -> dict[str, Any] | None:
            refusals = [json.loads(self.read(key)) for key in self.keys(f"refused/{app}/")]
            assert not refusals, refusals
            found = self.runs(app)
            over = len(found) == runs and all(run["phase"] == "finished" for run in found)
            return found[-1] if over else None

        return self.until(last)

    def until(self, condition: Callable[[], T | None]) -> T:
        """The first true value of a condition; fails with all that is known if it never comes,
        or if a handler has raised."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            in_time = time.monotonic() < end and not self.fleet.dispatcher.failures
            assert in_time, self.state()
            time.sleep(0.2)
        return value

    def ledger(self, run_id: str) -> list[tuple[LedgerEntry, dict[str, Any]]]:
        """All entries of a run's ledger, with what they say."""
        found = []
        for key in self.keys(f"runs/{run_id}/ledger/"):
            entry = LedgerEntry.parse(key)
            assert entry is not None, key
            found.append((entry, json.loads(self.read(key))))
        return found

    def outcomes(self, run_id: str) -> Counter[str]:
        """How many of a run's entries there are of each outcome."""
        return Counter(entry.outcome for entry, _ in self.ledger(run_id))

    def jobs(self, run_id: str) -> list[tuple[str, dict[str, str], str]]:
        """The jobs that a run was sent: id, group, folder."""
        lists = [key for key in self.keys(f"runs/{run_id}/submissions/") if "/jobs-" in key]
        # The first line of each list says what its jobs share.
        lines = [line for key in lists for line in gzip.decompress(self.read(key)).splitlines()[1:]]
        return [tuple(json.loads(line)) for line in lines]

    # --- the rest of AWS -------------------------------------------------------------------

    def queues(self) -> set[str]:
        urls = self.client("sqs").list_queues().get("QueueUrls", [])
        return {url.rsplit("/", 1)[1] for url in urls}

    def services(self) -> dict[str, dict[str, Any]]:
        """The services that aren't INACTIVE, by name."""
        ecs = self.client("ecs")
        arns = ecs.list_services(cluster="default")["serviceArns"]
        found = ecs.describe_services(cluster="default", services=arns)["services"] if arns else []
        return {service["serviceName"]: service for service in found}

    def dead_letters(self, run_id: str) -> list[dict[str, Any]]:
        """The messages of a run in the dead-letter queue."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=DEAD_LETTERS)["QueueUrl"]
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=3600
        ).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        return [body for body in found if body["cellfleet"]["run"] == run_id]

    def leftovers(self) -> dict[str, tuple[str, ...]]:
        """What any run left in the account, but for the dead-letter queue that stays."""
        found = find_leftovers(self.session, self.fleet.aws.endpoint, keep_queue=DEAD_LETTERS)
        return {left.kind: left.names for left in found if left.names}

    def state(self) -> str:
        """What is known when something never happens."""
        keys = [key for key in self.keys("runs/") if key.endswith(("/run.json", "/status.json"))]
        told = [f"{key}: {self.read(key).decode()[:3000]}" for key in keys]
        told += [f"given up: {failure}" for failure in [*self.fleet.dispatcher.failures][:3]]
        for log in sorted(self._logs.glob("logs/*"), key=lambda path: path.stat().st_mtime)[-3:]:
            told.append(f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}")
        return "it never happened\n" + "\n".join(told)


def end_leases(queue: str) -> None:
    """Let the time pass after which SQS hands out what killed workers had."""
    for message in sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues[queue]._messages:
        message.visible_at = 0.0
