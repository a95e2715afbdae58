"""What can ail a fleet, and the signs of it that AWS gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: Machines don't come, or what runs on them doesn't work.
MACHINES, CONTAINERS = "machines", "containers"
#: Waited for without end; given up after a while without any result; can't work as it is.
WAIT, SLOW, FATAL = "wait", "slow", "fatal"
#: How long a fleet may ail before it is given up; nothing is given up for what is waited for.
PATIENCE = {FATAL: timedelta(minutes=15), SLOW: timedelta(minutes=60)}


@dataclass(frozen=True, kw_only=True)
class Ailment:
    """One trouble of a fleet: `kind` names it, `sentence` says what it is and what helps.

    `since` and `seen_at` say when it was first and last found.
    """

    kind: str
    where: str
    course: str
    sentence: str
    since: datetime
    seen_at: datetime


def found(
    kind: str, where: str, course: str, sentence: str, *, now: datetime, said: str = ""
) -> Ailment:
    """An ailment found now; `said` are AWS's own words, which follow the sentence."""
    return Ailment(
        kind=kind,
        where=where,
        course=course,
        sentence=f"{sentence}. AWS says: {_short(said)}" if said else sentence,
        since=now,
        seen_at=now,
    )


def _short(text: str, most: int = 240) -> str:
    """On one line, and not too much of it."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


@dataclass(frozen=True, kw_only=True)
class FleetEvent:
    """An entry of a spot fleet's history; `type` and `subtype` are EC2's."""

    at: datetime
    type: str
    subtype: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class StoppedTask:
    """A task that ended: ECS's stop code and reason, its container's reason and exit code."""

    at: datetime
    code: str = ""
    reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was read because something looked wrong; None where nothing was read."""

    events: tuple[FleetEvent, ...] | None = None
    tasks: tuple[StoppedTask, ...] | None = None
