"""CellFleet as its users see it: objects in buckets, and what AWS says is there."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from chalicelib.contract import LedgerEntry
from examples.leftovers import find_leftovers
from local.serve import LocalCellFleet

#: Seconds; a bound for a busy machine, no expectation.
PATIENCE = 200.0
JOB_FILE_KEYS = ("pipeline", "data_file", "input", "output", "output_structure", "groups")


@dataclass(frozen=True)
class Ended:
    """One job's last word in the ledger. `folder` is the key prefix of its results."""

    outcome: str
    cause: str
    sentence: str
    folder: str
    submission: str


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

    def until[T](self, condition: Callable[[], T | None]) -> T:
        """The first true value of a condition; fails with all that is known when it never comes."""
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < end, self._state()
            time.sleep(0.2)
        return value
