"""Machine-hours and makespan of CellFleet's policy, a clairvoyant's, and DCP's as it was meant.

    python -m benchmarks.fleet_cost [--quick] [--seeds N] [--stagger SECONDS] [--help]

Each cell of the grid (jobs, law of job times, mean, slots of a machine, interruptions an hour) is
one run of a small event simulation for each policy, with the same seed: the same job times, and
machine 0, 1, 2 … boots and is interrupted alike whoever asks for it. CellFleet's side is its own
code: `missing_machines`, `decide_start`, `decide_scale_in`, once a minute.

The clairvoyant knows all draws, and takes the fixed number of machines that costs least and ends
within 1.1 x DCP's makespan; its machines end the moment they have nothing more to do. The
law-blind one takes the number that would be right if all jobs took the same time. Cost is
machine-hours from launch to end. The makespan is from the submission to the last job's end; both
are ratios of sums over the seeds: N up to 100 jobs, 3 at most for 1,000, one beyond. From 10,000
jobs on, a sample of the cells is measured. Laws and fates are in `benchmarks/fleet/laws.py`, the
others' policies in `benchmarks/fleet/others.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.fleet.figures import Figures, measure
from benchmarks.fleet.laws import LAWS, Case
from benchmarks.fleet.report import HEAD, line, name, report

#: Seeds 0 to 99 were looked at while the policy was made; figures are from others.
HELD_OUT = 1000
MEANS = (30.0, 300.0, 1800.0)
#: Containers of a machine, and copies of CellProfiler in each: 1, 4 and 16 slots.
SHAPES = ((1, 1), (1, 4), (4, 4))
RATES = (0.0, 0.01, 0.05, 0.2)


def grid(quick: bool, stagger: float) -> Iterator[Case]:
    """The cells. From 10,000 jobs on a sample of them: there, all policies come near each other."""
    for jobs in (10, 50, 100, 1_000, 10_000, 100_000):
        few = quick or jobs >= 10_000
        if quick and jobs > 1_000:
            continue
        for law in LAWS:
            for mean in (300.0,) if few else MEANS:
                for tasks, cores in ((4, 4),) if jobs == 100_000 else SHAPES:
                    for rate in (0.0, 0.2) if few else RATES:
                        yield Case(
                            jobs=jobs,
                            law=law,
                            mean=mean,
                            tasks=tasks,
                            cores=cores,
                            stagger=stagger,
                            rate=rate,
                        )


def seeds_of(case: Case, first: int, number: int) -> range:
    """The more jobs, the less is left to chance."""
    if case.jobs >= 10_000:
        number = 1
    elif case.jobs >= 1_000:
        number = min(number, 3)
    return range(first, first + number)


def _measure(case: Case, *, first: int, number: int, error: float = 1.0) -> Figures:
    return measure(case, seeds_of(case, first, number), error=error)


def measure_all(
    cases: list[Case], first: int, number: int, processes: int, error: float = 1.0
) -> list[Figures]:
    """All cells, in order."""
    each = partial(_measure, first=first, number=number, error=error)
    found = []
    with multiprocessing.Pool(processes) as pool:
        for cell in pool.imap(each, cases):
            found.append(cell)
            if len(found) % 50 == 0:
                print(f"{len(found)} cells: {name(cell.case)}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What machines cost, and how long runs take.")
    parser.add_argument("--quick", action="store_true", help="a subset of the cells")
    parser.add_argument("--jobs", type=int, nargs="*", help="only cells of so many jobs")
    parser.add_argument("--rates", type=float, nargs="*", help="only cells of these interruptions")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=HELD_OUT)
    parser.add_argument("--stagger", type=float, default=0.0, help="SECONDS_TO_START")
    parser.add_argument("--machines", type=int, default=100, help="CLUSTER_MACHINES")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    first, number = options.first_seed, options.seeds
    print(
        f"{options.machines} machines allowed, SECONDS_TO_START {options.stagger:g}, "
        f"seeds {first} to {first + number - 1}"
    )
    cases = [
        replace(case, machines=options.machines)
        for case in grid(options.quick, options.stagger)
        if case.jobs in (options.jobs or [case.jobs])
        and case.rate in (options.rates or [case.rate])
    ]
    report(measure_all(cases, first, number, options.processes), first)
    if options.quick or options.jobs or options.rates:
        return
    print(f"\nIf the user's estimate is off (100 and 1,000 jobs, 4 slots)\n\n{HEAD}")
    some = [c for c in cases if c.jobs in (100, 1_000) and c.slots == 4 and c.rate == 0]
    for error in (0.1, 1.0, 10.0):
        cells = measure_all(some, first, number, options.processes, error)
        print(line(f"x {error:g}", cells))


if __name__ == "__main__":
    main()
