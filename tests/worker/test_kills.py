"""Workers and their CellProfilers are killed at random moments; jobs are not lost, results not mixed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from chalicelib import contract
from tests.syntax import ROOT
from tests.worker.world import DATA, RUN, SUBMISSION, WELLS, World

#: Enough to meet each step of a job with a kill now and then; more by hand.
JOBS = int(os.environ.get("CELLFLEET_TEST_KILLS", "20"))
PATIENCE = 240 + 6 * JOBS


def stand_in(world: World) -> str:
    """A CellProfiler that can be kept warm, and what it is run with."""
    python = world.folder / "python"
    python.write_text(f"#!{sys.executable}\n" + (DATA / "fake_warm.py").read_text())
    script = world.folder / "cellprofiler"
    (world.folder / "job.py").write_text((DATA / "fake_cellprofiler.py").read_text())
    script.write_text(f"#!{python}\nfrom cellprofiler.__main__ import main\n")
    python.chmod(0o755)
    return str(script)


def an_hour_passes(world: World) -> None:
    """Leases and commits that nobody keeps up run out."""
    queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].queues[world.queue_url.rpartition("/")[2]]
    for message in list(queue._messages):
        message.visible_at = message.delayed_until = 0
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[world.bucket]
    for key in bucket.keys.values():
        if key.name.startswith(f"runs/{RUN}/commits/"):
            key.last_modified -= timedelta(hours=1)


def processes(world: World) -> list[int]:
    """The CellProfilers that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(world.folder / "python") in words:
            found.append(int(path.parent.name))
    return found


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def start(world: World) -> subprocess.Popen[bytes]:
    variables = {**os.environ, **world.variables(**{contract.ENV_JOB_RETRIES: "1000"})}
    log = (world.folder / "worker.log").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "worker"], cwd=ROOT, env=variables, stdout=log, stderr=log
        )


def message(world: World, number: int) -> contract.JobMessage:
    folder = f"project/output/{number}"
    well = WELLS[number % len(WELLS)]
    return world.message(well, folder=folder, job=f"{number:020d}")


def done(world: World) -> set[str]:
    return {entry.job for entry, _ in world.ledger() if entry.outcome == contract.DONE}


def states(world: World, job: str) -> list[str]:
    """What the commit of a job has been, from first to last."""
    key = contract.commit_key(RUN, SUBMISSION, job)
    listed = world.s3.list_object_versions(Bucket=world.bucket, Prefix=key)["Versions"]
    found = []
    for version in listed:
        where = {"Bucket": world.bucket, "Key": key, "VersionId": version["VersionId"]}
        found.append(json.loads(world.s3.get_object(**where)["Body"].read())["state"])
    return found[::-1]


@pytest.mark.timeout(PATIENCE + 60)
def test_nothing_is_lost_and_nothing_published_twice(world: World) -> None:
    chance = random.Random(20240229)
    stand_in(world)
    world.s3.put_bucket_versioning(
        Bucket=world.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    jobs = [message(world, number) for number in range(JOBS)]
    for job in jobs:
        world.send(job)
    deadline = time.monotonic() + PATIENCE
    kills = {"worker": 0, "CellProfiler": 0}
    while len(done(world)) < JOBS:
        assert time.monotonic() < deadline, f"{done(world)} are done, after {kills}"
        worker = start(world)
        while not processes(world) and len(done(world)) < JOBS and time.monotonic() < deadline:
            time.sleep(0.05)
        until = time.monotonic() + chance.uniform(0.2, 8)
        while time.monotonic() < until and len(done(world)) < JOBS:
            time.sleep(chance.uniform(0.05, 0.4))
            running = processes(world)
            if running and chance.random() < 0.3:
                kill(chance.choice(running))
                kills["CellProfiler"] += 1
        worker.kill()
        worker.wait()
        kills["worker"] += 1
        an_hour_passes(world)
    end_well(world)

    assert min(kills.values()) > 0
    assert {entry.outcome for entry, _ in world.ledger()} <= {contract.DONE, contract.FAILED}
    for job in jobs:
        assert states(world, job.job).count("published") == 1, job.job
        files = world.keys(f"{job.folder}/")
        assert [key[len(job.folder) + 1 :] for key in files] == ["Image.csv", "sub/Nuclei.csv"]
        # Both files bear the moment at which they were made.
        stamp = world.text(files[1]).rpartition(",")[2].strip()
        assert world.text(files[0]).count(stamp) == 2
    assert world.queued() == (0, 0)
    assert world.dead() == []


def end_well(world: World) -> None:
    """A last worker takes what is left, and one job more, and goes when told to."""
    worker = start(world)
    last = message(world, JOBS)
    world.send(last)
    deadline = time.monotonic() + 120
    while world.queued() != (0, 0) or last.job not in done(world):
        an_hour_passes(world)
        assert time.monotonic() < deadline, world.queued()
        time.sleep(1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    while processes(world):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    root: Any = world.folder / "root"
    assert [path for path in root.rglob("*") if path.is_file()] == []
