"""Counts of the ledger's entries: what a tick hands to the next, and what it makes of them.

Bounded in size, whatever the number of jobs. An entry that was written twice counts twice; only
a full listing tells jobs apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.contract import (
    DEAD,
    DONE,
    FAILED,
    INTERRUPTED,
    LOST,
    SKIPPED,
    LedgerEntry,
)
from chalicelib.core.job_times import add_times, robust_mean, time_class
from chalicelib.core.observation import FirstOutcome, Progress

#: Entries may be written this late, and clocks differ; also the time that the rate is taken over.
OPEN_FOR = timedelta(minutes=15)
#: So many first outcomes are remembered, of as many jobs.
FIRST = 100
#: Nobody's fault: a machine was taken away.
_NO_FAULT = (INTERRUPTED, LOST)
_UNKNOWN = "unknown"
_MINUTE = "%Y%m%dT%H%M"


class Tally(BaseModel):
    """Outcomes in all minutes before `minute` (YYYYMMDDTHHMM): final, counted once."""

    model_config = ConfigDict(frozen=True)

    minute: str = ""
    done: int = 0
    dead: int = 0
    failures: int = 0
    #: Failures and deaths by cause.
    failed_by: Mapping[str, int] = {}
    dead_by: Mapping[str, int] = {}
    #: Wall times of done jobs: counts by `time_class`.
    times: Mapping[int, int] = {}
    #: The first outcomes, each of another job, in the order of time.
    first: tuple[FirstOutcome, ...] = ()
    #: The minute of the first entry.
    began: str = ""

    def plus(self, entries: Count) -> Tally:
        """With the entries that were counted."""
        by = entries.outcomes
        first = {outcome.job: outcome for outcome in self.first}
        for job, cause in entries.first.items():
            if len(first) < FIRST:
                first.setdefault(job, FirstOutcome(job=job, cause=cause))
        return self.model_copy(
            update={
                "done": self.done + by[DONE] + by[SKIPPED],
                "dead": self.dead + by[DEAD],
                "failures": self.failures + by[FAILED],
                "failed_by": dict(Counter(self.failed_by) + entries.failed_by),
                "dead_by": dict(Counter(self.dead_by) + entries.dead_by),
                "times": add_times(self.times, entries.times.elements()),
                "first": tuple(first.values()),
                "began": min(filter(None, (self.began, entries.began)), default=""),
            }
        )


class Count:
    """Counts entries as they are listed, in the order of their minutes."""

    def __init__(self) -> None:
        self.outcomes = Counter[str]()
        self.failed_by = Counter[str]()
        self.dead_by = Counter[str]()
        self.times = Counter[int]()
        self.first: dict[str, str] = {}
        self.began = ""

    def add(self, entry: LedgerEntry) -> None:
        """Count one entry."""
        self.outcomes[entry.outcome] += 1
        self.began = min(self.began or entry.minute, entry.minute)
        if entry.outcome == FAILED:
            self.failed_by[entry.cause] += 1
        elif entry.outcome == DEAD:
            self.dead_by[entry.cause] += 1
        elif entry.outcome == DONE:
            self.times[time_class(entry.seconds)] += 1
        if len(self.first) < FIRST and entry.cause not in _NO_FAULT:
            cause = (entry.cause or _UNKNOWN) if entry.outcome in (FAILED, DEAD) else ""
            self.first.setdefault(f"{entry.submission}.{entry.job}", cause)

    @property
    def ended(self) -> int:
        """Jobs that won't be tried again."""
        return self.outcomes.total() - self.outcomes[FAILED]


def closing_minute(now: datetime) -> str:
    """The first minute that entries may still be written into."""
    return f"{now - OPEN_FOR:{_MINUTE}}"


def progress(before: Tally, lately: Count, now: datetime) -> Progress:
    """All that was counted: up to `closing_minute`, and lately."""
    tally = before.plus(lately)
    return Progress(
        done=tally.done,
        dead=tally.dead,
        failures=tally.failures,
        failed_by=tally.failed_by,
        dead_by=tally.dead_by,
        seconds=robust_mean(tally.times),
        timed=sum(tally.times.values()),
        first=tally.first,
        per_minute=_per_minute(tally.began, lately.ended, now),
    )


def _per_minute(began: str, ended: int, now: datetime) -> float | None:
    """Jobs that ended a minute, of late: over 15 minutes, or since the first of them all ended."""
    try:
        since = now - datetime.strptime(began, _MINUTE).replace(tzinfo=UTC)
    except ValueError:  # nothing yet, or digits that are no time
        return None
    minutes = min(max(since, timedelta(minutes=1)), OPEN_FOR) / timedelta(minutes=1)
    return ended / minutes
