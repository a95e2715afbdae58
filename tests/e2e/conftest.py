"""One embedded CellFleet for all tests of the room, each with apps and folders of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.serve import LocalCellFleet
from tests.e2e.outside import Outside
from tests.e2e.plates import StandIn


@pytest.fixture(scope="package")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A whole CellFleet, ticking each second, seen from outside."""
    folder = tmp_path_factory.mktemp("cellfleet")
    with LocalCellFleet(seconds_per_tick=1.0, state_dir=folder) as fleet:
        seen = Outside(fleet, folder)
        yield seen
        seen.close()


@pytest.fixture
def stand_in(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    """A CellProfiler that is a script, for the workers that start during the test."""
    assert outside.leftovers() == {}, "the run of another test is still there"
    script = StandIn(tmp_path)
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", script.install())
    yield script
    script.release()


@pytest.fixture(scope="package")
def cellprofiler() -> str:
    """The real CellProfiler's executable."""
    executable = os.environ.get("CELLFLEET_CELLPROFILER", "")
    if not executable:
        pytest.skip("CELLFLEET_CELLPROFILER names no CellProfiler")
    return executable
