"""Where everything lies in the buckets. (Commits and the ledger: `chalicelib.contract`.)

The deployment bucket holds triggers and state, a config's AWS_BUCKET what DCP wrote there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LIVE = "live/"
RUNS = "runs/"
PENDING = "runs/pending/"
EXPORTING = "runs/exporting/"
#: The live run that comes first in the next pass; only there if the last one ran out of time.
NEXT_RUN = "ticks/next"
JOB_FILES = "jobs/"
APPS = "apps/"
#: What the last sweep found and did.
SWEEP = "sweep.json"

_JOB_FILE = re.compile(r"^jobs/(?P<app>[A-Za-z0-9][A-Za-z0-9_-]{0,59})/(?P<name>.+)\.json\Z", re.I)


@dataclass(frozen=True, kw_only=True)
class JobFileKey:
    """The app and the name in `jobs/{app}/{name}.json`."""

    app: str
    name: str

    @classmethod
    def parse(cls, key: str) -> JobFileKey | None:
        """None for a key that is no job file's."""
        match = _JOB_FILE.match(key)
        return cls(app=match["app"], name=match["name"]) if match else None


def job_file(app: str, name: str) -> str:
    """A job file whose arrival starts it."""
    return f"{JOB_FILES}{app}/{name}.json"


def submitted(app: str, stamp: str, name: str) -> str:
    """A job file sent by the command line: outside the trigger prefix, removed once it is sent."""
    return f"submitted/{app}/{stamp}-{name}"


def refusal(app: str, name: str) -> str:
    """Why a job file was refused."""
    return f"refused/{app}/{name}.json"


def app_config(app: str) -> str:
    """The last valid config of an app."""
    return f"apps/{app}/config.json"


def app_run(app: str) -> str:
    """Which run is the app's latest: the one place where two set-ups meet."""
    return f"apps/{app}/run.json"


def claim(app: str, submission: str) -> str:
    """The lease and cursor of a submission. Under the app, since an event can arrive again
    after its run has ended."""
    return f"apps/{app}/submissions/{submission}.json"


def claims(app: str) -> str:
    """The prefix of all claims of an app."""
    return f"apps/{app}/submissions/"


def answer(app: str, key: str) -> str:
    """What an HTTP request with this idempotency key was answered; `key` is a hash of it."""
    return f"answers/{app}/{key}.json"


def pending(app: str, submission: str) -> str:
    """Marks a submission that isn't closed yet, so that a tick can find and resume it."""
    return f"{PENDING}{app}/{submission}.json"


def live(run_id: str) -> str:
    """The index of live runs; a tick lists only this."""
    return f"{LIVE}{run_id}"


def exporting(run_id: str) -> str:
    """Marks a finished run whose logs aren't exported yet, so that a tick can find it."""
    return f"{EXPORTING}{run_id}"


def run_record(run_id: str) -> str:
    return f"runs/{run_id}/run.json"


def run_status(run_id: str) -> str:
    """What the last tick saw, and which tick is at work; written by the tick alone."""
    return f"runs/{run_id}/status.json"


def job_lists(run_id: str) -> str:
    """The prefix of all job lists of a run."""
    return f"runs/{run_id}/submissions/"


def submission_of_list(key: str) -> str:
    """The submission whose jobs a list holds."""
    return key.split("/")[3]


def job_list(run_id: str, submission: str, first: int) -> str:
    """The jobs sent, from the group at index `first` on, as compressed JSON lines."""
    return f"runs/{run_id}/submissions/{submission}/jobs-{first:09d}.jsonl.gz"


def redrives(run_id: str) -> str:
    """The prefix of the job files by which dead jobs of a run were sent again."""
    return f"runs/{run_id}/redrives/"


def redrive(run_id: str, submission: str, digest: str) -> str:
    """A job file of dead jobs of one submission; `digest` is that of their ids."""
    return f"{redrives(run_id)}{submission}-{digest}.json"


def report(run_id: str) -> str:
    """The page about a run."""
    return f"runs/{run_id}/report.html"


def monitor_file(app: str) -> str:
    """In AWS_BUCKET, as DCP."""
    return f"monitors/{app}SpotFleetRequestId.json"


def ecs_config(app: str) -> str:
    """In AWS_BUCKET, as DCP."""
    return f"ecsconfigs/{app}_ecs.config"


def exported_logs(group: str) -> str:
    """The prefix in AWS_BUCKET of a log group's exports, as DCP. A task's id follows."""
    return f"exportedlogs/{group}"
