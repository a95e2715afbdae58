"""Every call index times every fault, and thousands of seeds: `make sweep`.

python -m tests.sim.sweep [--seeds N] [--first N] [--no-cells] [--jobs N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.sim.faults import Cell, Kind
from tests.sim.history import History
from tests.sim.invariants import broken
from tests.sim.scenario import Scenario, by_hand, of_seed, plain

#: The histories whose every call is made to fail.
BASES = {"a job file is dropped": plain, "commands are typed": by_hand}
ENTRIES = ("setup", "submit", "start", "tick", "teardown")
#: Seconds for which an operation stays denied, in the cells where that lasts.
DENIED_FOR = 600.0
SEEDS = 10_000
#: Read-only operations: that one took effect twice means nothing.
_READS = ("get_", "describe_", "list_", "head_")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A call of a base history."""

    base: str
    entry: str
    index: int
    reads: bool


def places(base: str) -> list[Place]:
    """Every call that a base history makes when nothing goes wrong."""
    found: list[Place] = []
    history = History(BASES[base]())
    history.world.faults.on_call = lambda call, index: found.append(
        Place(base=base, entry=call.entry, index=index, reads=call.method.startswith(_READS))
    )
    history.run()
    wrong = broken(history)
    if wrong:
        raise AssertionError(f"{base}: {wrong}")
    return found


def cells() -> Iterator[tuple[str, Cell]]:
    """All cells: a base history, and the one fault in it."""
    for base in BASES:
        for place in places(base):
            for kind in Kind:
                if place.reads and kind in (Kind.ECHO, Kind.TIMEOUT):
                    continue
                cell = Cell(entry=place.entry, index=place.index, kind=kind)
                yield base, cell
                if kind is Kind.DENIED:
                    lasting = Cell(
                        entry=place.entry, index=place.index, kind=kind, lasting=DENIED_FOR
                    )
                    yield base, lasting


def try_cell(given: tuple[str, Cell]) -> tuple[str, list[str]]:
    base, cell = given
    lasting = f" for {cell.lasting:.0f} s" if cell.lasting else ""
    return f"{base}, {cell}{lasting}", examine(BASES[base](cells=(cell,)))


def try_seed(seed: int) -> tuple[str, list[str]]:
    return f"seed {seed}", examine(of_seed(seed))


def examine(scenario: Scenario) -> list[str]:
    """What one history breaks."""
    return broken(History(scenario).run())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many random histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--no-cells", action="store_true", help="random histories only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    given = parser.parse_args(arguments)
    failures: list[tuple[str, list[str]]] = []
    begun = time.monotonic()
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        if not given.no_cells:
            all_cells = list(cells())
            print(f"{len(all_cells)} cells: every call of {len(BASES)} histories, every fault")
            failures += _watch(pool.imap_unordered(try_cell, all_cells, 8), len(all_cells))
        seeds = range(given.first, given.first + given.seeds)
        print(f"{len(seeds)} seeds")
        failures += _watch(pool.imap_unordered(try_seed, seeds, 8), len(seeds))
    print(f"{len(failures)} histories break an invariant; {time.monotonic() - begun:.0f} s")
    return 1 if failures else 0


def _watch(results: Iterator[tuple[str, list[str]]], total: int) -> list[tuple[str, list[str]]]:
    """Tell what is wrong as it comes, and how far it is."""
    failures = []
    for done, (name, wrong) in enumerate(results, 1):
        if wrong:
            failures.append((name, wrong))
            print("\n    ".join([f"{name}:", *wrong]), flush=True)
        if done % 500 == 0 or done == total:
            print(f"  {done} of {total}, {len(failures)} wrong", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
