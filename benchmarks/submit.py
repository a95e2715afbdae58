"""Submission speed and memory, against one send per job as Distributed-CellProfiler does.

    python -m benchmarks.submit [--groups N] [--rounds N] [--memory-groups N]

Speed: real boto3 on both sides, on an SQS stub of constant cost (10 ms a request, over HTTP, in
another process), and S3 on the embedded AWS, in another process too. What is timed for CellFleet
is the whole submission: the event's arrival, claim, both passes over the job file, registration,
job lists, every message acknowledged, closing. For the other side it is one `send_message` per
group from a file already parsed. Both must deliver the same multiset of groups.

Memory: the peak (VmHWM) of a fresh process that validates and submits a job file of a million
groups, above its peak when its clients have been made and used.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3

if TYPE_CHECKING:
    from chalicelib.aws.services import Services
    from chalicelib.operations.submit import Upload

PROJECT = Path(__file__).resolve().parent.parent
BUCKET = "cellfleet-local"


def config_keys(app: str) -> dict[str, Any]:
    """The least that an app needs."""
    return {"APP_NAME": app, "AWS_BUCKET": BUCKET, "ECS_CLUSTER": "default"}


def job_file(groups: int) -> Iterator[bytes]:
    """A job file as DCP's users have them: 384-well plates of nine sites."""
    header = {
        "pipeline": "projects/2026_screen/workspace/pipelines/batch1/analysis.cppipe",
        "data_file": "projects/2026_screen/workspace/load_data_csv/batch1/load_data.csv",
        "input": "projects/2026_screen/workspace/",
        "output": "projects/2026_screen/workspace/analysis/batch1",
        "output_structure": "Metadata_Plate/analysis/Metadata_Plate-Metadata_Well-Metadata_Site",
    }
    yield json.dumps(header)[:-1].encode() + b', "groups": ['
    for index in range(groups):
        plate, rest = divmod(index, 384 * 9)
        well, site = divmod(rest, 9)
        name = f"{'ABCDEFGHIJKLMNOP'[well // 24]}{well % 24 + 1:02d}"
        group = f"Metadata_Plate=BR{plate:05d},Metadata_Well={name},Metadata_Site={site + 1}"
        yield (b"," if index else b"") + json.dumps({"Metadata": group}).encode()
    yield b"]}"


@contextmanager
def sqs_stub() -> Iterator[str]:
    """The stub's endpoint."""
    command = [sys.executable, "-m", "benchmarks.sqs_stub", "--digest-of", "Metadata"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def embedded_aws() -> Iterator[dict[str, str]]:
    """An embedded AWS in a process of its own; the environment that leads there."""
    code = (
        "import json, sys\n"
        "from local.aws import EmbeddedAWS\n"
        "with EmbeddedAWS() as aws:\n"
        "    print(json.dumps(aws.env), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()


@dataclass(frozen=True)
class Delivered:
    """What a queue of the stub got."""

    messages: int
    requests: int
    digest: str

    @classmethod
    def of(cls, stub: str, queue: str) -> Delivered:
        with urllib.request.urlopen(f"{stub}/dump") as answer:
            return cls(**json.load(answer)[queue])


def one_by_one(stub: str, queue: str, groups: int) -> float:
    """Seconds that one send per job takes, as DCP's submitJob does it."""
    parsed = json.loads(b"".join(job_file(groups)))
    sqs = boto3.client("sqs", region_name="us-east-1", endpoint_url=stub)
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    template = {key: value for key, value in parsed.items() if key != "groups"}
    began = time.perf_counter()
    for group in parsed["groups"]:
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({**template, **group}))
    return time.perf_counter() - began


def cellfleet(app: str, body: bytes) -> float:
    """Seconds that a submission takes, from the upload's event to its closing."""
    from chalicelib.aws.services import Services
    from chalicelib.core.config import parse_keys
    from chalicelib.operations.setup import set_up
    from chalicelib.operations.submit import submit

    services = Services.from_environment()
    set_up(services, parse_keys(config_keys(app), "benchmark"))
    upload = put(services, app, body)
    began = time.perf_counter()
    outcome = submit(services, upload)
    took = time.perf_counter() - began
    assert outcome.state == "closed", outcome
    return took


def put(services: Services, app: str, body: bytes | BinaryIO) -> Upload:
    """Upload a job file, as a user does."""
    from chalicelib.operations.submit import Upload

    key = f"jobs/{app}/benchmark.json"
    answer = services.clients.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return Upload(
        app=app,
        name="benchmark",
        bucket=BUCKET,
        key=key,
        version=answer["VersionId"],
        start=False,
    )


def peak_memory() -> int:
    """VmHWM of this process, in bytes."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def memory_child(groups: int) -> None:
    """Submit in this process, and print how far its peak rose, in MiB."""
    from chalicelib.aws.services import Services
    from chalicelib.core.config import parse_keys
    from chalicelib.operations.setup import set_up
    from chalicelib.operations.submit import submit

    services = Services.from_environment()
    # Clients are created, and used, before the measurement: their models are theirs, not ours.
    set_up(services, parse_keys(config_keys("Memory"), "benchmark"))
    upload = Path(os.environ["BENCHMARK_JOB_FILE"])
    key = "jobs/Memory/benchmark.json"
    with upload.open("rb") as stream:
        uploaded = put(services, "Memory", stream)
    before = peak_memory()
    outcome = submit(services, uploaded)
    assert (outcome.state, outcome.jobs) == ("closed", groups), (outcome, key)
    print(json.dumps({"before": before, "after": peak_memory()}))


def measure_speed(groups: int, rounds: int) -> float:
    """Print the figures of both sides; the ratio of the medians."""
    body = b"".join(job_file(groups))
    ours, theirs = [], []
    with embedded_aws() as environment, sqs_stub() as stub:
        os.environ.update(environment, AWS_ENDPOINT_URL_SQS=stub)
        for number in range(rounds):
            ours.append(cellfleet(f"Ours{number}", body))
            print(f"  CellFleet   round {number + 1}: {ours[-1]:7.2f} s", flush=True)
            theirs.append(one_by_one(stub, f"Theirs{number}", groups))
            print(f"  one by one  round {number + 1}: {theirs[-1]:7.2f} s", flush=True)
            mine = Delivered.of(stub, f"Ours{number}Queue")
            other = Delivered.of(stub, f"Theirs{number}")
            assert mine.messages == other.messages == groups, (mine, other)
            assert mine.digest == other.digest, "the two sides delivered different groups"
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(
        f"{groups} groups, median of {rounds}: CellFleet {statistics.median(ours):.2f} s, one "
        f"send per job {statistics.median(theirs):.2f} s: {ratio:.0f} x; same multiset delivered"
    )
    return ratio


def measure_memory(groups: int) -> float:
    """Print and return the rise of the peak, in MiB."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_aws() as environment,
        sqs_stub() as stub,
    ):
        path = Path(folder) / "job.json"
        with path.open("wb") as stream:
            stream.writelines(job_file(groups))
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.submit", "--memory-child", str(groups)],
            cwd=PROJECT,
            env={
                **os.environ,
                **environment,
                "AWS_ENDPOINT_URL_SQS": stub,
                "BENCHMARK_JOB_FILE": str(path),
            },
            stdout=subprocess.PIPE,
            check=True,
        )
    peaks = json.loads(child.stdout.splitlines()[-1])
    rise: float = (peaks["after"] - peaks["before"]) / 2**20
    print(
        f"{groups} groups: peak memory {peaks['after'] / 2**20:.0f} MiB, "
        f"{rise:.1f} MiB above the process with its clients created"
    )
    return rise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-groups", type=int, default=1_000_000)
    parser.add_argument("--memory-child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    if options.memory_child:
        memory_child(options.memory_child)
        return
    if options.groups:
        print("Speed")
        measure_speed(options.groups, options.rounds)
    if options.memory_groups:
        print("Memory")
        measure_memory(options.memory_groups)


if __name__ == "__main__":
    main()
