"""What answers hold: one model for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    # What has a default is always there, and the document says so.
    model_config = ConfigDict(
        frozen=True, json_schema_serialization_defaults_required=True, defer_build=True
    )


class ProblemAnswer(_Answer):
    """One thing that is wrong: where, what was found, what is expected, what helps."""

    where: str
    expected: str
    found: str = ""
    hint: str = ""


class ErrorAnswer(_Answer):
    """Why nothing was done."""

    error: str = Field(description="A word for programs, such as not-found.")
    message: str = Field(description="A sentence for people.")
    problems: tuple[ProblemAnswer, ...] = Field(
        default=(), description="Everything that is wrong with what was given; the first 100."
    )
    problems_in_all: int = 0


class ConfigAnswer(_Answer):
    """A configuration that can be used."""

    app: str
    config: Mapping[str, Any] = Field(description="All keys, with their defaults.")
    warnings: tuple[str, ...] = ()


class Jobs(_Answer):
    """Jobs of a run, as the last tick saw them. `waiting` and `in_flight` are SQS's estimates."""

    total: int
    waiting: int | None = None
    in_flight: int | None = None
    done: int = 0
    dead: int = 0
    failed_tries: int = Field(default=0, description="Tries that failed and were made again.")


class Pace(_Answer):
    """How fast jobs end."""

    per_minute: float | None = None
    seconds_a_job: float | None = None
    expected_end: datetime | None = None


class Machines(_Answer):
    """Machines of a run, as the last tick saw them."""

    there: int = 0
    leaving: int = Field(default=0, description="Of those, finishing their last jobs.")
    containers: int = 0
    at_most: int = Field(description="As the configuration, a request, or an early stop says.")
    reason: str = Field(default="", description="Why it is fewer than CLUSTER_MACHINES.")


class Dollars(_Answer):
    """What machines may have cost: MACHINE_PRICE for each hour of each. Not the bill.

    null without MACHINE_PRICE, and where machines on demand ran.
    """

    machine_hours: float = 0.0
    so_far_at_most: float | None = None
    an_hour_at_most: float | None = None


class Cause(_Answer):
    """Why jobs were given up."""

    cause: str
    jobs: int
    means: str
    helps: str


class SubmissionOfRun(_Answer):
    """A job file that a run took."""

    submission: str
    job_file: str
    jobs: int
    all_sent: bool
    output: str


class RunAnswer(_Answer):
    """One run."""

    run: str
    app: str
    phase: Literal["open", "ending", "tearing-down", "finished"]
    outcome: str = Field(default="", description="complete or stopped, once it ends.")
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seen_at: datetime | None = Field(default=None, description="When the monitor last looked.")
    worker: Literal["cellfleet", "dcp"]
    image: str
    jobs: Jobs
    pace: Pace
    machines: Machines
    dollars: Dollars
    causes: tuple[Cause, ...] = ()
    submissions: tuple[SubmissionOfRun, ...] = ()
    health: tuple[str, ...] = Field(default=(), description="What ails its machines.")
    errors: tuple[str, ...] = Field(default=(), description="What the last tick couldn't do.")
    notes: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


class RunInList(_Answer):
    """One run of a list. `problem` says why its record can't be read."""

    run: str
    app: str
    phase: Literal["open", "ending", "tearing-down", "finished", "unknown"]
    outcome: str = ""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    jobs: int = 0
    problem: str = ""


class RunsAnswer(_Answer):
    """A page of runs, by app and time."""

    runs: tuple[RunInList, ...]
    next: str | None = Field(default=None, description="`after` of the next page, if there is one.")


class SubmissionAnswer(_Answer):
    """What became of a job file.

    `working` and `waiting` go on by themselves; `closed`: all of its jobs are sent.
    """

    submission: str
    app: str
    state: Literal["working", "waiting", "closed", "refused"]
    run: str = ""
    jobs: int = 0
    sent: int = 0
    duplicates: int = Field(default=0, description="Groups that repeat an earlier one.")
    messages: tuple[str, ...] = ()


class UploadAnswer(_Answer):
    """Where to put a job file: a PUT with the file as its body. Its arrival starts it."""

    url: str
    method: Literal["PUT"] = "PUT"
    expires_at: datetime
    job_file: str = Field(description="Its key in the deployment bucket.")


class RefusalAnswer(_Answer):
    """Why an uploaded job file was refused."""

    job_file: str
    refused_at: datetime
    problems: tuple[str, ...]
    problems_in_all: int
    what_now: str


class FailureAnswer(_Answer):
    """One failed try of one job."""

    job: str
    submission: str
    attempt: int
    outcome: Literal["failed", "dead"]
    cause: str
    at: datetime = Field(description="To the minute.")
    seconds: int
    sentence: str = ""
    group: Mapping[str, str] = {}
    folder: str = ""
    log_stream: str = ""


class FailuresAnswer(_Answer):
    """A page of failures, the oldest first. It may be short, or empty, though more follow."""

    failures: tuple[FailureAnswer, ...]
    next: str | None = Field(default=None, description="`after` of the next page, if there is one.")


class RedriveAnswer(_Answer):
    """Jobs that were sent again, as submissions of their own."""

    jobs: int
    submissions: tuple[SubmissionAnswer, ...] = ()


class ReportAnswer(_Answer):
    """A link to the run's report."""

    url: str
    expires_at: datetime
