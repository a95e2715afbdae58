"""Make `.venv` with the pinned requirements; return at once if it is up to date.

Up to date means: made by this Python, from these requirement files (`.venv/.installed` says
both). A change of the requirements is installed into the environment that is there; another
Python makes a new one. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.progress import Progress, StepFailed, pip_install

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
REQUIREMENTS = ROOT / "requirements-dev.txt"
CONSTRAINTS = ROOT / "constraints.txt"
INPUTS = (REQUIREMENTS, ROOT / "requirements.txt", CONSTRAINTS)


def main() -> int:
    wanted = wanted_stamp()
    found = STAMP.read_text() if STAMP.exists() else ""
    if found == wanted:
        return 0
    if importlib.util.find_spec("ensurepip") is None:
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        say(
            f"error: {sys.executable} can't make virtual environments (no module ensurepip). "
            f"Debian and Ubuntu: apt-get install python{minor}-venv; or make PYTHON=... names another"
        )
        return 1
    try:
        install(keep=found.splitlines()[:1] == wanted.splitlines()[:1])
    except StepFailed as error:
        say(f"{error}\nerror: the requirements could not be installed into {VENV} (see above)")
        return 1
    STAMP.write_text(wanted)
    return 0


def wanted_stamp() -> str:
    """Two lines: the Python, and the digest of what is to be installed."""
    digest = hashlib.sha256()
    for path in INPUTS:
        digest.update(path.read_bytes() + b"\0")
    base = Path(sys.base_prefix).resolve()
    return f"{sys.version.split()[0]} {base}\n{digest.hexdigest()}\n"


def install(*, keep: bool) -> None:
    """Into the environment that is there, or (not `keep`) a new one."""
    steps = {"virtual environment": 4.0, "pinned requirements": 60.0}
    progress = Progress("Installing CellFleet's requirements into .venv", steps)
    try:
        progress.start("virtual environment")
        STAMP.unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(VENV, ignore_errors=True)
            subprocess.check_call([base_python(), "-m", "venv", str(VENV)], stdout=sys.stderr)
        progress.start("pinned requirements")
        pins = [line for line in CONSTRAINTS.read_text().splitlines() if "==" in line]
        python = str(VENV / "bin" / "python")
        pip_install(python, ["-r", str(REQUIREMENTS)], progress, packages=len(pins))
    except BaseException:
        progress.fail()
        raise
    progress.finish("Requirements are installed")


def base_python() -> str:
    """The interpreter outside any virtual environment: the one being replaced can't make itself."""
    return str(getattr(sys, "_base_executable", sys.executable))


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
