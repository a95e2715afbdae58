"""Does CellFleet give the same numbers as CellProfiler alone? Try it on data of your own.

    python -m scripts.compare_with_cellprofiler FOLDER --job JOBFILE [--config FILE]

FOLDER holds what is in the bucket: images, pipeline and LoadData CSV under the keys that the
job file names (the CSV's paths begin with /home/ubuntu/bucket/, or are relative). Every group of
the job file is run through CellFleet on the embedded AWS, and by CellProfiler's command line;
then all results are compared. Nothing reaches AWS, and nothing is written into FOLDER.

Ends with 0 if everything is equal, 1 if anything differs, 2 if it couldn't be tried.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chalicelib.contract import DEAD, ENV_CELLPROFILER
from chalicelib.contract.groups import format_group
from chalicelib.core import keys
from chalicelib.core.config import RunConfig, parse_config, parse_keys
from chalicelib.core.jobfile import Job, JobFileHeader, check, iter_jobs
from chalicelib.errors import CellFleetError
from examples.demo import DemoError, local_session, raise_if_refused, stay_local
from examples.following import Snapshot, look, read_text
from examples.results import download
from examples.server import LocalServer, ServerError
from scripts.comparison import Compared, compare_folders
from scripts.direct_run import DirectRun, DirectRunError

APP = "Comparison"
CORES = os.cpu_count() or 1
EQUAL, DIFFERENT, NOT_TRIED = 0, 1, 2
_POLL_SECONDS = 1.0


class NotTriedError(RuntimeError):
    """There is nothing to compare; says why."""


@dataclass(frozen=True)
class Task:
    """What is to be compared. `bucket` is the user's folder."""

    bucket: Path
    job_file: Mapping[str, Any]
    header: JobFileHeader
    jobs: tuple[Job, ...]
    always_continue: bool

    @classmethod
    def read(cls, bucket: Path, job_path: Path, config_path: Path | None) -> "Task":
        """Raises NotTriedError and InputError, before anything is started."""
        for path in (job_path, *([config_path] if config_path else [])):
            if not path.is_file():
                raise NotTriedError(f"{path} is no file")
        checked = check(lambda: job_path.open("rb"), str(job_path), check_if_done=False)
        header = checked.header
        config = _config(config_path, header)
        if config is not None and config.use_plugins:
            raise NotTriedError("USE_PLUGINS is 'True': pipelines with plugins can't be compared")
        if not header.data_file.lower().endswith(".csv"):
            raise NotTriedError(f"data_file is {header.data_file}; expected a LoadData .csv")
        for key in (header.pipeline, header.data_file):
            if not (bucket / key).is_file():
                raise NotTriedError(f"{job_path} names {key}, but there is no {bucket / key}")
        jobs = tuple(iter_jobs(lambda: job_path.open("rb"), header, run="", submission=""))
        shared = len(jobs) - len({job.folder for job in jobs})
        if shared:
            raise NotTriedError(
                f"{shared} groups write to the folder of another; name all keys in output_structure"
            )
        return cls(
            bucket=bucket,
            job_file=json.loads(job_path.read_text(encoding="utf-8-sig")),
            header=header,
            jobs=jobs,
            always_continue=config is not None and config.always_continue,
        )

    def upload(self, bucket: str) -> dict[str, Any]:
        """The job file with a configuration for this machine. Of the user's own, only
        ALWAYS_CONTINUE bears on the numbers."""
        config = {
            "APP_NAME": APP,
            "AWS_BUCKET": bucket,
            "WORKER": "cellfleet",
            "CLUSTER_MACHINES": 1,
            "DOCKER_CORES": min(CORES, 4),
            "SECONDS_TO_START": 0,
            "SQS_DEAD_LETTER_QUEUE": f"{APP}_DeadMessages",
            "SQS_MESSAGE_VISIBILITY": 3600,
            "JOB_RETRIES": 2,
            "DOWNLOAD_FILES": "True",
            "AUTO_MONITOR": "True",
            "ALWAYS_CONTINUE": str(self.always_continue),
        }
        named = {"config", "fleet", "cellfleet"}
        kept = {key: value for key, value in self.job_file.items() if key not in named}
        return {**kept, "config": config}

    def files(self) -> Iterator[tuple[str, Path]]:
        """Keys and paths of what goes into the bucket: all but earlier results."""
        output = self.header.output.strip("/") + "/"
        for path in sorted(self.bucket.rglob("*")):
            key = path.relative_to(self.bucket).as_posix()
            if path.is_file() and not key.startswith(output):
                yield key, path


def _config(path: Path | None, header: JobFileHeader) -> RunConfig | None:
    if path is not None:
        return parse_config(path.read_text(encoding="utf-8"), str(path)).config
    if header.config is not None:
        return parse_keys({"APP_NAME": APP, **header.config}, "config of the job file").config
    return None


def through_cellfleet(task: Task, target: Path, console: Console) -> dict[str, str]:
    """Run all groups on the embedded AWS and fetch the results, each group's to the key of its
    folder below `target`. Returns why jobs were given up, by job id."""
    with LocalServer() as server:
        server.wait_until_ready(seconds=120)
        bucket = server.bucket
        s3 = local_session("us-east-1").client("s3", endpoint_url=server.endpoint)
        for key, path in task.files():
            s3.upload_file(str(path), bucket, key)
        body = json.dumps(task.upload(bucket)).encode()
        s3.put_object(Bucket=bucket, Key=f"{keys.JOB_FILES}{APP}/comparison.json", Body=body)
        seen = Snapshot()
        while not seen.finished:
            time.sleep(_POLL_SECONDS)
            server.check()
            raise_if_refused(s3, bucket, APP)
            now = look(s3, bucket, APP, seen.run_id)
            if now.describe(len(task.jobs)) != seen.describe(len(task.jobs)):
                console.print(f"CellFleet: {now.describe(len(task.jobs))}")
            seen = now
        for job in task.jobs:
            download(s3, bucket, job.folder, target / job.folder)
        return {
            name: json.loads(read_text(s3, bucket, entry.key()))["sentence"]
            for name, entry in seen.entries.items()
            if entry.outcome == DEAD
        }


def directly(task: Task, executable: str, work: Path, target: Path) -> dict[str, str]:
    """Run all groups by CellProfiler's command line. Returns why jobs failed, by job id."""
    header = task.header
    direct = DirectRun(
        executable=executable,
        bucket=task.bucket,
        pipeline=header.pipeline,
        data_file=header.data_file,
        input=header.input,
        work=work,
        always_continue=task.always_continue,
    )
    direct.prepare()

    def run(job: Job) -> str:
        try:
            direct.run(format_group(job.group), target / job.folder)
        except DirectRunError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(CORES) as pool:
        whys = pool.map(run, task.jobs)
        return {job.job: why for job, why in zip(task.jobs, whys, strict=True) if why}


def compare(task: Task, executable: str, work: Path, console: Console) -> int:
    """Both ways, and the table of all files; the exit code."""
    ours, theirs, own = work / "cellfleet", work / "direct", work / "work"
    own.mkdir()
    given_up = through_cellfleet(task, ours, console)
    console.print(f"CellProfiler alone: {len(task.jobs)} groups")
    failed = directly(task, executable, own, theirs)
    problems: list[str] = []
    files: list[tuple[str, Compared]] = []
    for job in task.jobs:
        compared = compare_folders(ours / job.folder, theirs / job.folder)
        files += [(job.folder, file) for file in compared]
        whys = {"CellFleet gave it up": given_up, "CellProfiler alone failed": failed}
        problems += [
            f"{job.folder}: {what}: {why[job.job]}" for what, why in whys.items() if job.job in why
        ]
        problems += [f"{job.folder}/{file.name}: {text}" for file in compared for text in file.told]
        if not compared:
            problems.append(f"{job.folder}: neither way gave a file")
    console.print(_table(files))
    for problem in problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if problems:
        return DIFFERENT
    values = sum(file.values for _, file in files)
    console.print(f"Equal: {len(files)} files, {values:,} values.", style="green")
    return EQUAL


def _table(files: Sequence[tuple[str, Compared]]) -> Table:
    table = Table(title="CellFleet and CellProfiler alone")
    for heading in ("Folder", "File"):
        table.add_column(heading, overflow="fold")
    for heading in ("Values compared", "Differences"):
        table.add_column(heading, justify="right")
    for folder, file in files:
        values = f"{file.values:,}" if file.values else "all bytes"
        style = "red" if file.differences else ""
        table.add_row(folder, file.name, values, str(file.differences), style=style)
    return table


def main(arguments: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare_with_cellprofiler",
        description="Run groups through CellFleet and by CellProfiler alone; compare all results.",
    )
    parser.add_argument("folder", type=Path, help="the bucket's content, or as much as is needed")
    parser.add_argument("--job", type=Path, required=True, metavar="FILE", help="the job file")
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.py, .json or .toml")
    given = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        executable = os.environ.get(ENV_CELLPROFILER) or shutil.which("cellprofiler")
        if not executable:
            raise NotTriedError(f"There is no CellProfiler to run; let {ENV_CELLPROFILER} name one")
        task = Task.read(given.folder, given.job, given.config)
        stay_local()
        with tempfile.TemporaryDirectory(prefix="cellfleet-comparison-") as work:
            return compare(task, executable, Path(work), console)
    except (NotTriedError, CellFleetError, DemoError, ServerError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return NOT_TRIED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
