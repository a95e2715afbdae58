"""Which CellProfiler is used, and when a build counts as good. (The build itself is what
`make test` does before any test runs.)"""

import sys
from pathlib import Path

import pytest

from scripts import cellprofiler_env
from scripts.cellprofiler_env import Environment, cache, executable, name, wanted
from scripts.toolchain import Missing


@pytest.fixture
def good(tmp_path: Path) -> Environment:
    """A completely built environment, as far as files show."""
    environment = Environment(tmp_path / "env", pins=())
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    environment.executable.touch(mode=0o755)
    libjvm = tmp_path / "libjvm.so"
    libjvm.touch()
    environment.marker.write_text(f"{libjvm}\n")
    return environment


def test_a_whole_one_is_good(good: Environment) -> None:
    assert good.is_good()


@pytest.mark.parametrize("lost", [".complete", "bin/python", "bin/cellprofiler", "../libjvm.so"])
def test_one_that_lacks_something_is_built_again(good: Environment, lost: str) -> None:
    (good.folder / lost).unlink()
    assert not good.is_good()


def test_a_named_one_is_used_and_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "cellprofiler"
    named.touch(mode=0o755)
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", str(named))
    monkeypatch.setenv("CELLFLEET_CACHE", str(tmp_path / "cache"))
    assert executable() == named
    assert not (tmp_path / "cache").exists()


def test_a_named_one_must_be_executable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "cellprofiler"
    named.touch(mode=0o644)
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", str(named))
    with pytest.raises(Missing, match="not an executable file"):
        executable()
    assert cellprofiler_env.main() == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: CELLFLEET_CELLPROFILER is {named}")


def test_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELLFLEET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache() == tmp_path / "xdg" / "cellfleet"
    monkeypatch.setenv("CELLFLEET_CACHE", str(tmp_path / "ours"))
    assert cache() == tmp_path / "ours"
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert wanted().folder.name.startswith(f"cellprofiler-4.2.8.1-{minor}-")


@pytest.mark.parametrize("minor", ["311", "312"])
def test_every_package_is_pinned_exactly(minor: str) -> None:
    file = cellprofiler_env.ROOT / "worker" / f"requirements-cellprofiler-py{minor}.txt"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    names = {name(line) for line in lines}
    assert names >= {*cellprofiler_env.BUILD_TOOLS, *cellprofiler_env.BRIDGE, "cellprofiler-core"}
