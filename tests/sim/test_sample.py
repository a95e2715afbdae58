"""A sample of the sweep that fits into every test run; `make sweep` runs all of it."""

from __future__ import annotations

import pytest

from tests.sim.faults import Cell, Kind
from tests.sim.sweep import BASES, ENTRIES, SEEDS, cells, try_cell, try_seed

#: The cells there were when this was last looked at. That calls are saved is a good reason to
#: lower it; that histories or faults went missing is not.
CELLS = 5_400
#: Of so many seeds, and of so many cells, one is in the sample.
OF_SEEDS, OF_CELLS = 80, 40


@pytest.fixture(scope="module")
def all_cells() -> list[tuple[str, Cell]]:
    return list(cells())


def test_cells_dont_get_fewer(all_cells: list[tuple[str, Cell]]) -> None:
    assert len(all_cells) >= CELLS
    assert {base for base, _ in all_cells} == set(BASES)
    assert {cell.entry for _, cell in all_cells} == set(ENTRIES)
    assert {cell.kind for _, cell in all_cells} == set(Kind)


def test_some_cells(all_cells: list[tuple[str, Cell]]) -> None:
    results = dict(try_cell(given) for given in all_cells[::OF_CELLS])
    assert {name: wrong for name, wrong in results.items() if wrong} == {}


def test_some_seeds() -> None:
    results = dict(try_seed(seed) for seed in range(0, SEEDS, OF_SEEDS))
    assert {name: wrong for name, wrong in results.items() if wrong} == {}
