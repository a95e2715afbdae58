"""scripts/find_python.sh picks a Python that really runs and is 3.11 or 3.12."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "find_python.sh"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def find(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script in an empty folder, so that no .venv is there."""
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        cwd=path,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_shim_that_fails_is_passed_over(path: Path) -> None:
    program(path / "python3.12", "echo 'not found' >&2; exit 127")
    (path / "python3").symlink_to(sys.executable)
    assert find(path).stdout == "python3\n"


def test_the_environment_that_is_there_comes_first(path: Path) -> None:
    (path / "python3").symlink_to(sys.executable)
    (path / ".venv" / "bin").mkdir(parents=True)
    (path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert find(path).stdout == ".venv/bin/python\n"


def test_the_named_python_is_taken(path: Path) -> None:
    program(path / "python3.12", "exit 0")
    assert find(path, sys.executable).stdout == f"{sys.executable}\n"


@pytest.mark.parametrize("arguments", [(), ("python3",)])
def test_another_version_is_refused_in_one_line(path: Path, arguments: tuple[str, ...]) -> None:
    program(path / "python3", 'case "$2" in *platform*) echo is Python 3.10.13;; *) exit 1;; esac')
    done = find(path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "3.10.13" in line
    assert "needs Python 3.11 or 3.12" in line
    assert "make PYTHON=" in line


def test_no_python_at_all(path: Path) -> None:
    done = find(path)
    assert done.returncode == 1
    assert "found no Python; CellFleet needs Python 3.11 or 3.12" in done.stderr
