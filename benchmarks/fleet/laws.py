"""How long jobs take, and what befalls machines: drawn from a seed, the same for every policy."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

Draw = Callable[[random.Random], float]

#: Laws of job times with a mean of 1. CellProfiler's jobs have a floor: start-up and loading.
LAWS: dict[str, Draw] = {
    "constant": lambda _: 1.0,
    # A fifth is fixed, the rest falls off exponentially.
    "exponential": lambda r: 0.2 + r.expovariate(1 / 0.8),
    # Sites with more and fewer cells.
    "lognormal": lambda r: r.lognormvariate(-(0.6**2) / 2, 0.6),
    # Nine empty wells to one full one, which takes 19 times as long.
    "bimodal": lambda r: 6.786 if r.random() < 0.1 else 0.357,
    # Pareto, exponent 1.7, cut at 50 times the mean.
    "heavy tail": lambda r: min(50.0, 0.4412 * r.paretovariate(1.7)),
}


@dataclass(frozen=True, kw_only=True)
class Fate:
    """Of one machine, in seconds: from request to launch (not billed), from launch to its first
    container, from launch to its interruption."""

    launch: float
    boot: float
    life: float


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the grid."""

    jobs: int
    law: str
    mean: float
    tasks: int
    cores: int
    stagger: float
    #: Interruptions, as the part of machines an hour.
    rate: float
    machines: int = 100

    @property
    def slots(self) -> int:
        return self.tasks * self.cores


class Draws:
    """What a seed has in store for a case: job times, and the fate of machine 0, 1, 2 …"""

    def __init__(self, case: Case, seed: int):
        found = random.Random(f"jobs {seed} {case.law}")
        law = LAWS[case.law]
        self.seconds = [case.mean * law(found) for _ in range(case.jobs)]
        self._rate = -math.log(1 - case.rate) / 3600 if case.rate else 0.0
        self._random = random.Random(f"machines {seed} {case.rate}")
        self._fates: list[Fate] = []
        #: When in its minute the monitor ticks.
        self.phase = random.Random(f"phase {seed}").uniform(0, 60)

    def fate(self, number: int) -> Fate:
        """The number-th machine's, whichever policy asks for it, and when."""
        while len(self._fates) <= number:
            pick = self._random
            self._fates.append(
                Fate(
                    launch=pick.uniform(20, 50),
                    boot=pick.triangular(140, 220, 165),
                    life=pick.expovariate(self._rate) if self._rate else math.inf,
                )
            )
        return self._fates[number]
