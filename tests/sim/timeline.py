"""Virtual time: a clock, and a heap of what is still to happen. No threads, no waiting."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

MINUTE = 60.0
HOUR = 60 * MINUTE


class Timeline:
    """Seconds since the beginning. What is due happens in order, ties in the order of asking."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0

    def moment(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.now)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let it happen then; at once, if that is past."""
        self._asked += 1
        heapq.heappush(self._due, (when, self._asked, what))

    def after(self, delay: float, what: Callable[[], None]) -> None:
        self.at(self.now + delay, what)

    def every(self, period: float, what: Callable[[], None]) -> None:
        """Again and again, for good."""

        def again() -> None:
            what()
            self.after(period, again)

        self.after(period, again)

    def run_until(self, when: float) -> None:
        """Let all happen that is due until then. May be called by what happens, too: that is how
        one invocation overlaps another."""
        while self._due and self._due[0][0] <= when:
            due, _, what = heapq.heappop(self._due)
            self.now = max(self.now, due)
            what()
        self.now = max(self.now, when)

    def pass_time(self, seconds: float) -> None:
        self.run_until(self.now + seconds)
