"""What goes wrong at the edge: at one call, or for a while."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """A fault of one call. Errors come after boto3's own retries are used up."""

    THROTTLE = "throttle"
    BROKEN = "5xx"
    DENIED = "access denied"
    #: It took effect, and the answer was lost.
    TIMEOUT = "timeout after effect"
    #: It took effect, the answer was lost, and boto3 asked again.
    ECHO = "retried after effect"
    #: The process dies before the call, and after it.
    DEATH = "death"
    DEATH_AFTER = "death after effect"
    #: The process stands still while others go on, longer than any lease.
    PAUSE = "pause"


ERRORS = (Kind.THROTTLE, Kind.BROKEN, Kind.DENIED, Kind.TIMEOUT)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request of the control plane."""

    entry: str
    service: str
    method: str
    arguments: dict[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fault at one call: the index counts all calls of its entry in the whole history.

    Access denied lasts: the same operation is denied for `lasting` seconds from then on.
    """

    entry: str
    index: int
    kind: Kind
    lasting: float = 0.0

    def __str__(self) -> str:
        return f"{self.entry}[{self.index}] {self.kind}"


@dataclass(frozen=True, kw_only=True)
class Storm:
    """A time in which calls go wrong by chance, of one service or all."""

    kind: Kind
    start: float
    end: float
    chance: float
    service: str = ""


@dataclass
class Faults:
    """All that goes wrong in one history, and what has."""

    chance: random.Random
    cells: Sequence[Cell] = ()
    storms: Sequence[Storm] = ()
    #: Seconds that a pause lasts.
    pause: float = 100.0
    #: Once the world is to come to rest, nothing goes wrong any more.
    over: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    last: float = 0.0
    fired: int = 0
    #: Called with each call, before anything else: how the calls of a history are counted.
    on_call: Callable[[Call, int], None] | None = None
    _denied: list[tuple[str, str, float]] = field(default_factory=list)

    def of(self, call: Call) -> Kind | None:
        """What goes wrong with this call."""
        index = self.seen[call.entry]
        self.seen[call.entry] += 1
        if self.on_call is not None:
            self.on_call(call, index)
        kind = None if self.over else self._find(call, index)
        if kind is not None:
            self.last = call.at + (self.pause if kind is Kind.PAUSE else 0.0)
            self.fired += 1
        return kind

    def _find(self, call: Call, index: int) -> Kind | None:
        for service, method, until in self._denied:
            if (service, method) == (call.service, call.method) and call.at < until:
                return Kind.DENIED
        for cell in self.cells:
            if cell.entry == call.entry and cell.index == index:
                if cell.lasting:
                    self._denied.append((call.service, call.method, call.at + cell.lasting))
                return cell.kind
        for storm in self.storms:
            if (
                storm.start <= call.at < storm.end
                and storm.service in ("", call.service)
                and self.chance.random() < storm.chance
            ):
                return storm.kind
        return None
