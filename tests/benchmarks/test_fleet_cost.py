"""Machine-hours and makespan, on a sample of the benchmark's cells: ratios of a simulation that its
seed decides, the same on every machine."""

from __future__ import annotations

import pytest

from benchmarks.fleet.figures import ALLOWED, Figures, measure
from benchmarks.fleet.laws import LAWS, Case, Draws
from benchmarks.fleet.others import Dcp, clairvoyant
from benchmarks.fleet.report import LIMIT, geometric
from benchmarks.fleet.world import World
from benchmarks.fleet_cost import grid

SEEDS = (2000,)


def case(**fields: object) -> Case:
    """50 jobs of five minutes, machines of one slot, 100 of them allowed."""
    values: dict[str, object] = {
        "jobs": 50,
        "law": "lognormal",
        "mean": 300.0,
        "tasks": 1,
        "cores": 1,
        "stagger": 0.0,
        "rate": 0.0,
    }
    return Case(**(values | fields))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cells() -> list[Figures]:
    """All laws, short jobs and long, with and without interruptions."""
    return [
        measure(case(law=law, mean=mean, cores=cores, rate=rate), SEEDS)
        for law in LAWS
        for mean, cores, rate in ((30.0, 4, 0.0), (300.0, 1, 0.2), (1800.0, 1, 0.0))
    ]


def test_machine_hours_are_near_the_clairvoyants(cells: list[Figures]) -> None:
    assert geometric(cell.cost for cell in cells) <= 1.15


def test_no_cell_costs_much_more_than_not_knowing_how_much_jobs_differ(
    cells: list[Figures],
) -> None:
    assert max(cell.cost_in_doubt for cell in cells) <= LIMIT


def test_runs_take_hardly_longer_than_with_all_machines_at_once(cells: list[Figures]) -> None:
    assert geometric(cell.span for cell in cells) <= ALLOWED


def test_dcps_policy_costs_small_runs_a_multiple(cells: list[Figures]) -> None:
    assert geometric(cell.cost_dcp for cell in cells) > 3


def test_a_seed_decides_everything() -> None:
    found = [measure(case(jobs=20, rate=0.2), SEEDS) for _ in range(2)]
    assert found[0] == found[1]


def test_all_policies_meet_the_same_fates() -> None:
    found = case(rate=0.2)
    draws = Draws(found, 1)
    fates = [draws.fate(number) for number in range(5)]
    World(found, draws).run(Dcp(100))
    assert [draws.fate(number) for number in range(5)] == fates
    assert Draws(found, 1).fate(4) == fates[4]
    assert Draws(found, 1).seconds == draws.seconds


@pytest.mark.parametrize("law", LAWS)
def test_the_clairvoyant_is_in_time_and_cheaper_than_dcps_policy(law: str) -> None:
    found = case(law=law, jobs=20)
    draws = Draws(found, 5)
    dcp = World(found, draws).run(Dcp(found.machines))
    bound = clairvoyant(found, draws, ALLOWED * dcp.makespan)
    assert bound.makespan <= ALLOWED * dcp.makespan
    assert bound.paid < dcp.paid


def test_the_grid_is_what_is_published() -> None:
    cells = list(grid(False, 0.0))
    assert {cell.jobs for cell in cells} == {10, 50, 100, 1_000, 10_000, 100_000}
    assert {cell.law for cell in cells} == set(LAWS)
    assert {cell.slots for cell in cells} == {1, 4, 16}
    assert {cell.rate for cell in cells} == {0.0, 0.01, 0.05, 0.2}
    assert (len(LAWS), len(cells)) == (5, 760)
