"""Tests of the tests: the simulator finds DCP's defects when they are put back."""

from __future__ import annotations

import pytest

from tests.sim.defects import DEFECTS, Defect
from tests.sim.invariants import broken


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.number}")
def test_a_defect_breaks_its_invariant_and_nothing_breaks_without_it(defect: Defect) -> None:
    assert broken(defect.history().run()) == []
    with defect.damage():
        found = broken(defect.history().run())
    assert any(line.startswith(f"{defect.breaks}: ") for line in found), found


def test_all_that_break_an_invariant_are_there() -> None:
    assert [defect.number for defect in DEFECTS] == [*range(1, 12), 13, 17, 19]
