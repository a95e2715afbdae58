"""Ticks by hand, so that they can be counted: as many as a run may need from its end on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.e2e.outside import PATIENCE, Outside

#: A run is to be gone so many ticks after its end.
MOST = 3

Tick = Callable[[], None]


def tick_until(outside: Outside, tick: Tick, condition: Callable[[], Any]) -> None:
    """A tick every half second until something has happened."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, outside.state()
        tick()
        time.sleep(0.5)


def ticks_to_finish(outside: Outside, tick: Tick, app: str) -> int:
    """Tick on from the end of a run until it is finished, at most `MOST` times; how often.

    Between two ticks what goes down goes down, as in a minute on AWS.
    """
    for count in range(MOST + 1):
        if outside.runs(app)[-1]["phase"] == "finished":
            return count
        outside.until(lambda: outside.fleet.machines.settled)
        tick()
    raise AssertionError(f"not finished {MOST} ticks after its end\n{outside.state()}")
