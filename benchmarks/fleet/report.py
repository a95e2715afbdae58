"""Figures as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from benchmarks.fleet.figures import ALLOWED, Figures, span_of_equal_jobs
from benchmarks.fleet.laws import Case

HEAD = (
    "| | cells | cost / bound | worst | cost / law-blind bound | worst | makespan / DCP | worst "
    "| bound's makespan / DCP | DCP's cost / bound | worst |\n" + "|---" * 11 + "|"
)
#: What the worst cell was to cost at most, in terms of the bound.
LIMIT = 1.5


def geometric(values: Iterable[float]) -> float:
    """The geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def name(case: Case) -> str:
    """A cell in words."""
    return f"{case.jobs:,} jobs, {case.law}, {case.mean:g} s, {case.slots} slots, {case.rate:.0%}/h"


def line(title: str, cells: list[Figures]) -> str:
    """One row of a table."""
    columns = [
        f"{len(cells)}",
        f"{geometric(c.cost for c in cells):.2f}",
        f"{max(c.cost for c in cells):.2f}",
        f"{geometric(c.cost_in_doubt for c in cells):.2f}",
        f"{max(c.cost_in_doubt for c in cells):.2f}",
        f"{geometric(c.span for c in cells):.2f}",
        f"{max(c.span for c in cells):.2f}",
        f"{geometric(c.span_bound for c in cells):.2f}",
        f"{geometric(c.cost_dcp for c in cells):.2f}",
        f"{max(c.cost_dcp for c in cells):.1f}",
    ]
    return f"| {title} | {' | '.join(columns)} |"


def table(title: str, cells: list[Figures], key: Callable[[Case], object]) -> None:
    """Cells grouped by one thing that they differ in."""
    print(f"\n{title}\n\n{HEAD}")
    groups: dict[object, list[Figures]] = {}
    for cell in cells:
        groups.setdefault(key(cell.case), []).append(cell)
    for group, members in groups.items():
        print(line(str(group), members))


def report(cells: list[Figures], seed: int) -> None:
    """All tables, and the worst cells."""
    table("By jobs", cells, lambda case: f"{case.jobs:,}")
    table("By law", cells, lambda case: case.law)
    table("By mean job time", cells, lambda case: f"{case.mean:g} s")
    table("By slots of a machine", cells, lambda case: case.slots)
    table("By interruptions an hour", cells, lambda case: f"{case.rate:.0%}")
    print(f"\nAll\n\n{HEAD}\n{line('all', cells)}")
    _worst("cost / bound", cells, lambda cell: cell.cost)
    _worst("cost / law-blind bound", cells, lambda cell: cell.cost_in_doubt)
    _worst("makespan / DCP", cells, lambda cell: cell.span)
    over = sum(cell.cost > LIMIT for cell in cells), sum(cell.span > ALLOWED for cell in cells)
    print(
        f"\n{over[0]} of {len(cells)} cells cost more than {LIMIT} x the bound; "
        f"{over[1]} take more than {ALLOWED} x DCP."
    )
    _what_it_would_take(cells, seed)


def _worst(title: str, cells: list[Figures], key: Callable[[Figures], float]) -> None:
    print(f"\nWorst by {title}")
    for cell in sorted(cells, key=key, reverse=True)[:5]:
        print(
            f"  cost {cell.cost:.2f}, law-blind {cell.cost_in_doubt:.2f}, makespan {cell.span:.2f}: "
            f"{name(cell.case)}"
        )


def _what_it_would_take(cells: list[Figures], seed: int) -> None:
    """Nobody knows beforehand how much jobs differ: what is too many machines if they do is just
    enough if they don't."""
    print(
        f"\nTo hold the dearest cells to {LIMIT} x the bound, so many machines might be asked for,"
    )
    print(
        "and jobs that take the same time each would then take so long, in terms of DCP's makespan:"
    )
    calm = [cell for cell in cells if not cell.case.rate and cell.case.jobs <= 1_000]
    for cell in sorted(calm, key=lambda cell: cell.cost, reverse=True)[:5]:
        machines, span = span_of_equal_jobs(cell, seed, LIMIT)
        print(f"  {machines} machines, {span:.1f} x: {name(cell.case)}")
