"""The demo: a rendered plate through the whole of CellFleet, on this machine alone.

`python run.py demo` (or `make demo`) starts the embedded AWS, uploads the sample plate and
one job file with plain boto3, watches the run until nothing of it is left, and compares
what CellProfiler counted with what was rendered. Nothing reaches a real AWS account.
"""

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from chalicelib.contract import DEAD, ENV_CELLPROFILER
from examples.following import Snapshot, jobs_by_group, list_keys, look, read_text
from examples.leftovers import Leftover, find_leftovers, leftover_table
from examples.results import (
    WellResult,
    contact_sheet,
    download,
    measure,
    well_table,
)
from examples.sample.plate import PLATE
from examples.sample.upload import (
    OUTPUT,
    config_keys,
    job_file,
    job_file_key,
    sample_objects,
)
from examples.server import LocalServer, ServerError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OUTPUT_FOLDER = Path("demo-output")
#: Seconds without any news after which the demo gives up.
PATIENCE = 300
NO_CELLPROFILER = (
    "There is no CellProfiler to run. `make demo` builds one first; or let "
    f"{ENV_CELLPROFILER} name the executable of your own."
)
_POLL_SECONDS = 1.0


class DemoError(RuntimeError):
    """The demo can't go on; the message says why."""


@dataclass
class Demo:
    """One demo against a server; `began` is when, in seconds since 1970."""

    console: Console
    server: LocalServer
    began: float

    def run(self) -> int:
        """Everything, in order; the exit code."""
        self.say("Starting the embedded AWS, and rendering the sample plate meanwhile")
        objects = list(sample_objects())
        self.server.wait_until_ready(seconds=120)
        endpoint, bucket = self.server.endpoint, self.server.bucket
        self.say(f"Embedded AWS at {endpoint}, bucket {bucket}")

        config = config_keys(bucket)
        job = job_file(config)
        session = local_session(str(config["AWS_REGION"]))
        s3 = session.client("s3", endpoint_url=endpoint)
        self._upload(s3, bucket, objects)
        s3.put_object(Bucket=bucket, Key=job_file_key(), Body=json.dumps(job, indent=1).encode())
        self.say(f"Job file put at s3://{bucket}/{job_file_key()}; the rest follows from it")

        last = self._follow(s3, bucket, str(config["APP_NAME"]), total=len(job["groups"]))
        results = self._collect(s3, bucket, last, jobs_by_group(job))
        self.console.print(well_table(results))
        self.say(f"Results: s3://{bucket}/{OUTPUT}/, copied to {OUTPUT_FOLDER}/")
        self.say(f"To look at: {contact_sheet(results, OUTPUT_FOLDER)}")

        dead_letters = str(config["SQS_DEAD_LETTER_QUEUE"])
        leftovers = find_leftovers(session, endpoint, keep_queue=dead_letters)
        self.console.print(leftover_table(leftovers))
        self.say(f"Kept: the dead-letter queue {dead_letters}, which several apps may share")
        first = first_cellprofiler(session, endpoint, str(config["LOG_GROUP_NAME"]))
        self._say_times(first)
        return self._verdict(results, leftovers)

    def say(self, text: str, style: str | None = None) -> None:
        """A line; never wrapped, so that addresses can be copied."""
        self.console.print(text, style=style, markup=False, soft_wrap=True)

    def _upload(self, s3: "S3Client", bucket: str, objects: list[tuple[str, bytes]]) -> None:
        with self._progress() as bar:
            for key, content in bar.track(objects, description="Uploading"):
                s3.put_object(Bucket=bucket, Key=key, Body=content)
        self.say(f"Uploaded {len(objects)} objects to s3://{bucket}/sample/")

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def _follow(self, s3: "S3Client", bucket: str, app: str, total: int) -> Snapshot:
        """Watch the run until it is torn down; what it looked like last."""
        seen, news_at = Snapshot(), time.monotonic()
        with self._progress() as bar:
            task = bar.add_task(seen.describe(total), total=total)
            while not seen.finished:
                time.sleep(_POLL_SECONDS)
                self.server.check()
                raise_if_refused(s3, bucket, app)
                now = look(s3, bucket, app, seen.run_id)
                if now != seen:
                    self._tell(bar, task, seen, now)
                    seen, news_at = now, time.monotonic()
                elif time.monotonic() - news_at > PATIENCE:
                    raise DemoError(
                        f"Nothing has happened for {PATIENCE} s ({seen.describe(total)}). "
                        f"The embedded AWS printed last:\n{self.server.tail}"
                    )
        return seen

    def _tell(self, bar: Progress, task: TaskID, before: Snapshot, now: Snapshot) -> None:
        """Move the bar; where there is no terminal to draw one, print a line."""
        total = int(bar.tasks[0].total or 0)
        text = now.describe(total)
        bar.update(task, completed=now.done + now.dead, description=text)
        if now.run_id != before.run_id:
            self.say(f"Run {now.run_id}")
        if now.finished or (bar.disable and text != before.describe(total)):
            self.say(text)
        for note in now.notes[len(before.notes) :]:
            self.say(f"Note: {note}", style="dim")

    def _collect(
        self, s3: "S3Client", bucket: str, last: Snapshot, jobs: dict[str, str]
    ) -> list[WellResult]:
        """Download the results and read them; say why wells are missing."""
        shutil.rmtree(OUTPUT_FOLDER / PLATE, ignore_errors=True)
        download(s3, bucket, OUTPUT, OUTPUT_FOLDER)
        seconds = {}
        for group, job in jobs.items():
            entry = last.entries.get(job)
            if entry is None:
                continue
            seconds[group.rpartition("=")[2]] = entry.seconds
            if entry.outcome == DEAD:
                reason = json.loads(read_text(s3, bucket, entry.key())).get("sentence")
                self.say(f"{group} was given up: {reason}", style="red")
        return measure(OUTPUT_FOLDER, seconds)

    def _say_times(self, first: float | None) -> None:
        if first is not None:
            self.say(f"First CellProfiler: {first - self.began:.1f} s after the demo began")
        self.say(f"Whole demo: {time.time() - self.began:.0f} s")

    def _verdict(self, results: list[WellResult], leftovers: list[Leftover]) -> int:
        problems = [result.problem for result in results if not result.good]
        problems += [f"{it.kind} left: {', '.join(it.names)}" for it in leftovers if it.names]
        for problem in problems:
            self.say(problem, style="bold red")
        if not problems:
            self.say("Every well is right, and nothing is left running.", style="green")
        return 1 if problems else 0


def local_session(region: str) -> boto3.Session:
    """Plain boto3 with made-up credentials: the embedded AWS takes any."""
    return boto3.Session(
        aws_access_key_id="local", aws_secret_access_key="local", region_name=region
    )


def raise_if_refused(s3: "S3Client", bucket: str, app: str) -> None:
    """Raises DemoError with the reasons when the job file was refused."""
    for key in list_keys(s3, bucket, f"refused/{app}/"):
        raise DemoError(f"The job file was refused:\n{read_text(s3, bucket, key)}")


def first_cellprofiler(session: boto3.Session, endpoint: str, log_group: str) -> float | None:
    """When the app's log first names a CellProfiler command, in seconds since 1970."""
    logs = session.client("logs", endpoint_url=endpoint)
    stamps = []
    try:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=log_group):
            stamps += [
                event["timestamp"] / 1000
                for event in page["events"]
                if "cellprofiler -c" in event["message"]
            ]
    except logs.exceptions.ResourceNotFoundException:
        return None
    return min(stamps, default=None)


def stay_local() -> None:
    """Keep the user's AWS profile and proxy out of it, here and in the server."""
    os.environ.pop("AWS_PROFILE", None)
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost")))


def main() -> int:
    """Run the demo; 0 when every count is right and nothing is left."""
    # Until here the program only computed, so its processor time tells when it began.
    began = time.time() - time.process_time()
    console = Console(highlight=False)
    if not (os.environ.get(ENV_CELLPROFILER) or shutil.which("cellprofiler")):
        console.print(NO_CELLPROFILER, style="bold red", soft_wrap=True)
        return 1
    stay_local()
    server = LocalServer()
    try:
        with server:
            return Demo(console, server, began).run()
    except (DemoError, ServerError) as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    except (BotoCoreError, ClientError) as error:
        text = f"{error}\nThe embedded AWS printed last:\n{server.tail}"
        console.print(text, style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
