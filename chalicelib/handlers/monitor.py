"""Trigger: the schedule, once a minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from chalicelib.aws.services import Services
from chalicelib.errors import DeadlineError
from chalicelib.operations.log_export import export_all
from chalicelib.operations.metrics import emit
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import Status
from chalicelib.operations.tick_all import tick_all

#: Of a pass's time, and of what is then left of it: what comes later must not have to wait for
#: good where there are too many runs. Sending jobs takes longest, and comes last.
_SHARE_OF_TICKS, _SHARE_OF_EXPORTS = 0.7, 0.3


def tick(services: Services) -> dict[str, int]:
    """One pass over all live runs, then over finished runs whose logs are still to be exported,
    then over submissions that wait or whose process died."""
    return {
        "runs": _count(_ticks(services.within(_SHARE_OF_TICKS))),
        "exports": _count(export_all(services.within(_SHARE_OF_EXPORTS))),
        "submissions": _count(resume_all(services)),
    }


def _ticks(services: Services) -> Iterator[Status]:
    for status in tick_all(services):
        emit(status, services.settings.bucket)
        yield status


def _count(steps: Iterable[object]) -> int:
    """Do as many as time allows; level-triggered, so the next pass does the rest."""
    done = 0
    with suppress(DeadlineError):
        for _ in steps:
            done += 1
    return done
