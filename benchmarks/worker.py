"""What a job costs this worker, against the loop of Distributed-CellProfiler re-created.

    python -m benchmarks.worker [--jobs N] [--rounds N] [--fly FOLDER] [--only NAME]

Real CellProfiler, real boto3, S3 and SQS on the embedded AWS in a process of its own; one slot, one
thread, nothing else on the machine. Three projects: a short pipeline (LoadData, IdentifyPrimaryObjects,
ExportToSpreadsheet) on small images, once with a CSV of 6 rows and once with one of 30,000; the sample
plate's pipeline; and, with `--fly`, CellProfiler's fly example in a folder that holds its `images` and
`workspace`.

This worker is `python -m worker`. What is timed is the whole job: from the message in the queue to the
entry in the ledger, over all jobs but the first, which starts CellProfiler and is told apart.

The other loop, by its description: receive; download pipeline, CSV and the group's images, one after
another; CellProfiler's command line, cold, on the full CSV; a pause of 30 s, which is reckoned and not
waited for; upload of the results by a new process, one file after another; delete the message. Its own
start, its check for results that are there and its log uploads are left out, in its favour.

Rounds of both alternate. The overhead of a job is its time less what CellProfiler's log says that its
modules took (Wall_time, of all image sets).
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from benchmarks.submit import BUCKET, PROJECT, embedded_aws
from chalicelib import contract
from chalicelib.contract.groups import Group, format_group, job_id, parse_group
from examples.sample import render
from examples.sample.plate import CHANNELS, SITES
from examples.sample.upload import HERE
from scripts.cellprofiler_env import executable
from scripts.direct_run import ONE_THREAD

PAUSE = 30.0
SHORT = PROJECT / "tests" / "worker" / "data" / "nuclei.cppipe"
_UPLOAD = """
import sys, boto3
from pathlib import Path
folder, bucket, prefix = sys.argv[1:]
s3 = boto3.client("s3")
for path in sorted(Path(folder).rglob("*")):
    if path.is_file():
        s3.upload_file(str(path), bucket, prefix + path.relative_to(folder).as_posix())
"""


@dataclass(frozen=True)
class Project:
    """Objects by key, and groups, of which jobs are made over and over again."""

    name: str
    objects: dict[str, bytes]
    groups: tuple[str, ...]

    def message(self, number: int, run: str) -> contract.JobMessage:
        """Job `number` of a run, whose results have a folder of their own."""
        group = parse_group(self.groups[number % len(self.groups)])
        folder = f"{self.name}/output/{run}/{number}"
        return contract.JobMessage(
            pipeline=f"{self.name}/a.cppipe",
            data_file=f"{self.name}/load_data.csv",
            input=self.name,
            output=f"{self.name}/output",
            output_structure="",
            group=group,
            folder=folder,
            job=job_id("", "", group, folder),
            run=run,
            submission="0" * 16,
        )


def plate(name: str, pipeline: bytes, channels: tuple[str, ...], size: int, rows: int) -> Project:
    """The sample plate's first sites, cut to `size` pixels, in a CSV of that many rows: the images
    of the rows that no job asks for are nowhere."""
    sites = [site for site in SITES if site.site == 1]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    kinds = [f"{kind}_{channel}" for channel in channels for kind in ("FileName", "PathName")]
    table.writerow(["Metadata_Plate", "Metadata_Well", "Metadata_Site", *kinds])
    objects = {f"{name}/a.cppipe": pipeline}
    place = f"{contract.BUCKET_MOUNT}/{name}/images"
    for number in range(rows):
        well = sites[number].well if number < len(sites) else f"Z{number}"
        files = [f"{well} {channel}.tif" for channel in channels]
        table.writerow(["P1", well, "1", *(cell for file in files for cell in (file, place))])
    for site in sites:
        images = render.render_site(site)
        for channel in channels:
            tiff = render.tiff(images[channel][:size, :size])
            objects[f"{name}/images/{site.well} {channel}.tif"] = tiff
    objects[f"{name}/load_data.csv"] = text.getvalue().encode()
    groups = tuple(f"Metadata_Plate=P1,Metadata_Well={site.well}" for site in sites)
    return Project(name, objects, groups)


def fly(folder: Path) -> Project:
    """CellProfiler's fly example, as it comes with Distributed-CellProfiler."""
    objects = {
        "demo_project_folder/a.cppipe": (folder / "workspace/ExampleFly.cppipe").read_bytes(),
        "demo_project_folder/load_data.csv": (folder / "workspace/load_data.csv").read_bytes(),
    }
    for path in (folder / "images").iterdir():
        objects[f"demo_project_folder/images/{path.name}"] = path.read_bytes()
    groups = ("Metadata_Position=2", "Metadata_Position=76")
    return Project("demo_project_folder", objects, groups)


def projects(fly_folder: Path | None) -> list[Project]:
    """All that is measured."""
    short = SHORT.read_bytes().replace(b"grouping:Well", b"grouping:Plate,Well")
    sample = (HERE / "sample.cppipe").read_bytes()
    return [
        plate("short", short, ("DNA",), 256, rows=6),
        plate("short-30000-rows", short, ("DNA",), 256, rows=30_000),
        plate("sample", sample, CHANNELS, 1000, rows=6),
        *([fly(fly_folder)] if fly_folder else []),
    ]


@dataclass(frozen=True)
class Jobs:
    """Seconds of the first job of a worker, of each later one, and of their overhead."""

    first: float
    each: float
    overhead: float


class Bench:
    """The clients, the queue and the CellProfiler of both sides."""

    def __init__(self, cellprofiler: str, folder: Path):
        self.cellprofiler = cellprofiler
        self.folder = folder
        self.s3: Any = boto3.client("s3")
        self.sqs: Any = boto3.client("sqs")
        self.queue = self.sqs.create_queue(QueueName="Bench")["QueueUrl"]
        self.dead = self.sqs.create_queue(QueueName="BenchDead")["QueueUrl"]

    def put(self, project: Project) -> None:
        for key, body in project.objects.items():
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def ours(self, project: Project, jobs: int) -> Jobs:
        """A worker of its own for one job, and then for that many."""
        run = f"Bench-{uuid.uuid4().hex}"
        with self._worker(run) as log:
            first = self._timed(project, run, range(1))
            start = module_seconds(log.read_text())
            each = self._timed(project, run, range(1, 1 + jobs)) / jobs
            modules = (module_seconds(log.read_text()) - start) / jobs
        return Jobs(first, each, each - modules)

    @contextmanager
    def _worker(self, run: str) -> Iterator[Path]:
        """Its log, which holds that of CellProfiler."""
        root = self.folder / run
        log = root.with_suffix(".log")
        variables = {
            **os.environ,
            "APP_NAME": "Bench",
            "SQS_QUEUE_URL": self.queue,
            "AWS_BUCKET": BUCKET,
            "DOCKER_CORES": "1",
            contract.ENV_RUN: run,
            contract.ENV_STATE_BUCKET: BUCKET,
            contract.ENV_DEAD_LETTER_URL: self.dead,
            contract.ENV_JOB_RETRIES: "1",
            contract.ENV_ROOT: str(root),
            contract.ENV_CELLPROFILER: self.cellprofiler,
        }
        command = [sys.executable, "-m", "worker"]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=PROJECT, env=variables, stdout=file)
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            shutil.rmtree(root, ignore_errors=True)

    def _timed(self, project: Project, run: str, numbers: range) -> float:
        messages = [project.message(number, run) for number in numbers]
        began = time.perf_counter()
        for message in messages:
            self.sqs.send_message(QueueUrl=self.queue, MessageBody=message.encode())
        while len(self._ledger(run)) < numbers.stop:
            time.sleep(0.02)
        return time.perf_counter() - began

    def _ledger(self, run: str) -> list[contract.LedgerEntry]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=contract.ledger_prefix(run))
        entries = [contract.LedgerEntry.parse(each["Key"]) for each in listed.get("Contents", [])]
        found = [entry for entry in entries if entry]
        assert all(entry.outcome == contract.DONE for entry in found), found
        return found

    def theirs(self, project: Project, number: int) -> float:
        """Seconds of one job in the other loop, without its pause."""
        message = project.message(number, "theirs")
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=message.encode())
        folder = self.folder / uuid.uuid4().hex
        began = time.perf_counter()
        received = self.sqs.receive_message(QueueUrl=self.queue)["Messages"][0]
        data_file = self._download(project, message, folder)
        (folder / "output").mkdir()
        command: list[str | Path] = [
            *(self.cellprofiler, "-c", "-r", "-p", folder / project.name / "a.cppipe"),
            *("-i", folder / project.name, "-o", folder / "output", "-d", folder / "done"),
            *(f"--data-file={data_file}", "-g", format_group(message.group)),
        ]
        one_thread = {**os.environ, **ONE_THREAD}
        subprocess.run(command, env=one_thread, check=True, capture_output=True)
        upload = [
            sys.executable,
            "-c",
            _UPLOAD,
            str(folder / "output"),
            BUCKET,
            message.folder + "/",
        ]
        subprocess.run(upload, check=True)
        self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=received["ReceiptHandle"])
        took = time.perf_counter() - began
        shutil.rmtree(folder)
        return took

    def _download(self, project: Project, message: contract.JobMessage, folder: Path) -> Path:
        """All that the group needs; the bucket being elsewhere than in the container, the CSV's
        paths are changed. Which files they are is taken as known."""
        names = group_files(project, message.group)
        for key in (message.pipeline, message.data_file, *names):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file(BUCKET, key, str(path))
        data_file = folder / message.data_file
        text = data_file.read_text().replace(contract.BUCKET_MOUNT, str(folder))
        data_file.write_text(text)
        return data_file


def group_files(project: Project, group: Group) -> list[str]:
    """The keys of a group's images, which bear its last value in their names."""
    value = group[-1][1]
    marks = (f"/{value} ", f"POS{value.zfill(3)}_")
    return [key for key in project.objects if any(mark in key for mark in marks)]


def module_seconds(log: str) -> float:
    """What CellProfiler says that modules took, of all jobs of a log."""
    return sum(float(seconds) for seconds in re.findall(r"Wall_time = ([0-9.]+) secs", log))


def measure(bench: Bench, project: Project, jobs: int, rounds: int) -> float:
    """Print a project's figures; returns the median overhead of our jobs."""
    bench.put(project)
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(bench.ours(project, jobs))
        theirs.append(bench.theirs(project, number))
        print(
            f"  {project.name}, round {number + 1}: {ours[-1].each:.2f} s a job "
            f"(first {ours[-1].first:.1f} s); the other loop {theirs[-1]:.2f} s",
            flush=True,
        )
    mine, other = median(each.each for each in ours), median(theirs)
    overhead = median(each.overhead for each in ours)
    print(
        f"{project.name}: {mine:.2f} s a job, the other loop {other:.2f} s: "
        f"{(other + PAUSE) / mine:.1f} times with its pause, {other / mine:.1f} times without; "
        f"overhead {overhead:.2f} s",
        flush=True,
    )
    return overhead


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=20, help="jobs of each of our rounds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="projects whose names begin so")
    parser.add_argument("--fly", type=Path, help="the fly example's folder")
    options = parser.parse_args()
    overheads = {}
    with embedded_aws() as environment, tempfile.TemporaryDirectory() as folder:
        os.environ.update(environment)
        bench = Bench(str(executable()), Path(folder))
        for project in projects(options.fly):
            if project.name.startswith(options.only):
                overheads[project.name] = measure(bench, project, options.jobs, options.rounds)
    short, long = overheads.get("short"), overheads.get("short-30000-rows")
    if short and long:
        print(f"Overhead with 30,000 rows against 6: {long / short:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
