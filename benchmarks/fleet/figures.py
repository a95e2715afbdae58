"""One cell measured: each policy on the same draws, summed over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from benchmarks.fleet.cellfleet import CellFleet, visibility
from benchmarks.fleet.laws import Case, Draws
from benchmarks.fleet.others import Dcp, Fixed, blind, clairvoyant
from benchmarks.fleet.world import World

#: What the clairvoyant may take, in terms of DCP's makespan.
ALLOWED = 1.1


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Machine-seconds and makespans."""

    paid: float = 0.0
    paid_bound: float = 0.0
    paid_blind: float = 0.0
    paid_dcp: float = 0.0
    makespan: float = 0.0
    makespan_bound: float = 0.0
    makespan_dcp: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Sums)}
        )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one cell. Ratios are those of the sums over its seeds."""

    case: Case
    sums: Sums

    @property
    def cost(self) -> float:
        return self.sums.paid / self.sums.paid_bound

    @property
    def cost_in_doubt(self) -> float:
        """Against one who knows all but how much jobs differ (or the bound, if that costs more)."""
        return self.sums.paid / max(self.sums.paid_bound, self.sums.paid_blind)

    @property
    def cost_dcp(self) -> float:
        return self.sums.paid_dcp / self.sums.paid_bound

    @property
    def span(self) -> float:
        return self.sums.makespan / self.sums.makespan_dcp

    @property
    def span_bound(self) -> float:
        return self.sums.makespan_bound / self.sums.makespan_dcp


def measure(case: Case, seeds: Sequence[int], *, error: float = 1.0) -> Figures:
    """One cell. `error`: by how much the user's estimate of a job's time is off."""
    sums = Sums()
    for seed in seeds:
        draws = Draws(case, seed)
        dcp = World(case, draws).run(Dcp(case.machines))
        bound = clairvoyant(case, draws, ALLOWED * dcp.makespan)
        expected = max(1, min(43_200, round(error * visibility(case))))
        ours = World(case, draws).run(CellFleet(case, draws, expected=expected))
        sums += Sums(
            paid=ours.paid,
            paid_bound=bound.paid,
            paid_blind=blind(case, seed, ALLOWED).paid,
            paid_dcp=dcp.paid,
            makespan=ours.makespan,
            makespan_bound=bound.makespan,
            makespan_dcp=dcp.makespan,
        )
    return Figures(case=case, sums=sums)


def span_of_equal_jobs(cell: Figures, seed: int, limit: float) -> tuple[int, float]:
    """The most machines with which this cell, on this seed, costs at most `limit` times its bound,
    were they all asked for at once; and the makespan, over DCP's, if all jobs took the same time."""
    case = cell.case
    draws = Draws(case, seed)
    dcp = World(case, draws).run(Dcp(case.machines))
    bound = clairvoyant(case, draws, ALLOWED * dcp.makespan).paid
    fit = (
        n
        for n in range(case.machines, 0, -1)
        if World(case, draws).run(Fixed(n)).paid <= limit * bound
    )
    machines = next(fit, 1)
    equal = replace(case, law="constant")
    draws = Draws(equal, seed)
    dcp = World(equal, draws).run(Dcp(case.machines))
    return machines, World(equal, draws).run(Fixed(machines)).makespan / dcp.makespan
