"""The run record: phase and plan of one run, one JSON object, changed only by compare-and-swap.

It says what was meant and what was asked of AWS; what is really there is observed anew by
every tick. Records carry a version, so that a live run survives an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECORD_VERSION = 1
#: The outcomes of a run: all jobs ended, or somebody stopped it.
COMPLETE, STOPPED = "complete", "stopped"


class Phase(StrEnum):
    """`ending` may turn back to `open` when a submission arrives; `tearing-down` may not."""

    OPEN = "open"
    ENDING = "ending"
    TEARING_DOWN = "tearing-down"
    FINISHED = "finished"


class EarlyStop(StrEnum):
    """Whether the fleet is kept small since everything failed; once lifted, it stays lifted."""

    NEVER = ""
    LIMITED = "limited"
    LIFTED = "lifted"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NextStep(_Frozen):
    """The job file that follows when a submission has ended well: its key in the deployment
    bucket, the app that runs it, how many failed jobs are still well, and the ETag of the file
    when the submission was accepted."""

    key: str
    app: str
    tolerated: int = 0
    etag: str = ""


class Submission(_Frozen):
    """One accepted job file: where it lies, how many jobs it sends, whether all are sent."""

    source: str
    jobs: int
    closed: bool = False
    #: Where its results go, in DESTINATION_BUCKET.
    output: str = ""
    #: What is to follow, if anything is.
    then: NextStep | None = None
    #: The run that it followed, "" if a user sent it; and the how-manieth of its chain it is.
    follows: str = ""
    step: int = 1


#: Our clock and EC2's differ by at most this much.
CLOCKS_DIFFER = timedelta(minutes=2)


class Fleet(_Frozen):
    """One spot fleet request, stored before it is sent and re-sent unchanged until answered.

    `machines` are asked for beside the `before` that were there, or still to come, already;
    `on_demand` of them at full price.
    """

    token: str
    machines: int
    before: int = 0
    request: Mapping[str, Any]
    requested_at: datetime
    valid_until: datetime
    fleet_id: str = ""
    on_demand: int = 0
    #: The error that EC2 answered the request with last, as `CODE: message`.
    refusal: str = ""
    #: Never answered, and not wanted any more: its configuration was replaced.
    abandoned: bool = False
    #: Cancelled by us: it brings no more machines.
    closed: bool = False

    @property
    def type(self) -> str:
        """`request` (one-time) or `maintain`."""
        return str(self.request.get("Type", "request"))

    def may_bring(self, now: datetime) -> bool:
        """Whether machines may still come of it, as far as the record knows. Clocks differ."""
        return self.valid_until + CLOCKS_DIFFER > now and not self.abandoned and not self.closed

    def abandon(self) -> Fleet:
        """Give up a request that was never answered."""
        return self if self.fleet_id else self.model_copy(update={"abandoned": True})


class LogExport(_Frozen):
    """The export of one log group of a finished run. `told`: how it ended, or why it waits."""

    group: str
    state: Literal["waiting", "done", "empty", "given-up"] = "waiting"
    #: When it was last asked for; the id follows with the answer.
    asked_at: datetime | None = None
    task_id: str = ""
    refused_at: datetime | None = None
    told: str = ""

    @property
    def over(self) -> bool:
        return self.state != "waiting"


class Result(_Frozen):
    """How a run's jobs ended, counted when its end was certain.

    `exact` is False where nobody knows: DCP's workers keep no ledger, and a stopped run is left
    in the middle.
    """

    at: datetime
    done: int = 0
    dead: int = 0
    exact: bool = False
    #: Dead jobs by cause, and by submission; submissions without any are left out.
    causes: Mapping[str, int] = {}
    dead_of: Mapping[str, int] = {}


class RunRecord(_Frozen):
    """One life of an app. `config` holds DCP's upper-case keys; `fleet_file` the user's own."""

    version: int = RECORD_VERSION
    run_id: str
    app: str
    deployment: str
    phase: Phase = Phase.OPEN
    created_at: datetime
    config: Mapping[str, Any]
    worker: Literal["cellfleet", "dcp"]
    image: str
    fleet_file: Mapping[str, Any] | None = None
    #: Machines are wanted: a submission asked for them, or startCluster did.
    start: bool = False
    #: Somebody watches with `monitor`, so the run may end though AUTO_MONITOR is off.
    monitored: bool = False
    #: From 15 minutes after the start, new machines are wanted one at a time.
    cheapest: bool = False
    started_at: datetime | None = None
    #: When startCluster was last given.
    asked_at: datetime | None = None
    #: An upper bound on machines below CLUSTER_MACHINES, and why.
    machine_limit: int | None = None
    limit_reason: str = ""
    early_stop: EarlyStop = EarlyStop.NEVER
    #: The upper bound that a user set by `scale`, beside the one above; None for none.
    scaled_to: int | None = None
    #: Why this run's machines can't work; none is requested until the cluster is started again.
    stuck: str = ""
    #: When the cluster was started again after that; troubles from before don't count.
    restarted_at: datetime | None = None
    queue_url: str = ""
    dead_letter_url: str = ""
    task_definition: str = ""
    task_digest: str = ""
    submissions: Mapping[str, Submission] = {}
    fleets: tuple[Fleet, ...] = ()
    #: Fingerprint of the dashboard that was drawn; "" if none was.
    dashboard: str = ""
    #: How often lost jobs were sent again, and when last.
    resent: int = 0
    resent_at: datetime | None = None
    #: Fingerprint of the files that were written for DCP's tools.
    files: str = ""
    #: The SNS topic that is told what happens; "" for none.
    topic: str = ""
    #: The kinds of notices that were sent: one of each.
    notified: tuple[str, ...] = ()
    #: Known from the beginning of the teardown on.
    result: Result | None = None
    #: Keys of the next job files that were handed on, to be submitted by a tick.
    went_on: tuple[str, ...] = ()
    #: Somebody stopped the chain here: what hasn't begun yet doesn't follow.
    halted: bool = False
    #: The record was lost and made anew: there may be fleets that it doesn't know.
    made_anew: bool = False
    ended_at: datetime | None = None
    #: What became of the logs, by log group; filled after the end.
    exports: Mapping[str, LogExport] = {}
    outcome: str = ""
    notes: tuple[str, ...] = ()

    @property
    def jobs(self) -> int:
        """Jobs of all submissions, sent or still to be sent."""
        return sum(submission.jobs for submission in self.submissions.values())

    @property
    def closed(self) -> bool:
        """Every submission is wholly sent, and there is at least one."""
        return bool(self.submissions) and all(s.closed for s in self.submissions.values())

    @property
    def accepts(self) -> bool:
        """Whether a submission can still join this run."""
        return self.phase is Phase.OPEN or (self.phase is Phase.ENDING and self.outcome != STOPPED)

    def watched(self, auto_monitor: bool) -> bool:
        """Whether somebody scales and ends the run: AUTO_MONITOR, or a user with `monitor`."""
        return auto_monitor or self.monitored

    def with_note(self, note: str) -> RunRecord:
        """The record with one more thing that the user should know."""
        if note in self.notes:
            return self
        return self.model_copy(update={"notes": (*self.notes, note)})

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_json(cls, body: bytes) -> RunRecord:
        return cls.model_validate_json(body)
