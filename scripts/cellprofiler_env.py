"""Print the path of a headless CellProfiler, building it if there is none yet.

CELLFLEET_CELLPROFILER names one to use instead: then nothing is built. Otherwise the pinned
packages of worker/requirements-cellprofiler-py3*.txt are installed into an environment of their
own, outside the working copy, so that all clones share it:

    $CELLFLEET_CACHE (or ~/.cache/cellfleet)/cellprofiler-4.2.8.1-3.11-<digest of the pins>

A build is good only once its `.complete` file is written, which is the last thing that happens:
whatever interrupts it, the next call starts afresh. Two calls at once: the second waits.
Virtual environments can't be moved, hence no build-and-rename.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.install import base_python
from scripts.progress import Progress, StepFailed, pip_install, run
from scripts.toolchain import Jdk, Missing, ensure

ROOT = Path(__file__).resolve().parent.parent
VERSION = "4.2.8.1"
#: Needed before the bridge can be built, because it is built without isolation.
BUILD_TOOLS = ("cython", "numpy", "setuptools", "wheel")
#: Source packages: built here, against the machine's JDK. CellProfiler itself declares the
#: graphical packages that a headless one does without, so no dependencies are followed anywhere.
BRIDGE = ("python-javabridge", "python-bioformats")
GIGABYTES_NEEDED = 1.5

SMOKE_TEST = """
import cellprofiler_core.preferences as preferences
preferences.set_headless()
from cellprofiler_core.utilities.java import start_java, stop_java
start_java()
try:
    import bioformats, cellprofiler.modules, javabridge
    javabridge.jutil.run_script('java.lang.System.getProperty("java.version")')
finally:
    stop_java()
"""


@dataclass(frozen=True)
class Environment:
    """Where one CellProfiler lives, and the pins it is made of."""

    folder: Path
    pins: tuple[str, ...]

    @property
    def executable(self) -> Path:
        return self.folder / "bin" / "cellprofiler"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def marker(self) -> Path:
        return self.folder / ".complete"

    def is_good(self) -> bool:
        """Completely built, and the Python and the Java it was built on are still there."""
        with contextlib.suppress(FileNotFoundError):
            libjvm = self.marker.read_text().strip()
            return self.python.exists() and self.executable.exists() and Path(libjvm).exists()
        return False


def main() -> int:
    try:
        print(executable())
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StepFailed as error:
        print(f"{error}\nerror: CellProfiler could not be built (see above)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: the next call starts the build afresh.", file=sys.stderr)
        return 130
    return 0


def executable() -> Path:
    """The CellProfiler to use; raises Missing or StepFailed if there can't be one."""
    named = os.environ.get("CELLFLEET_CELLPROFILER")
    if named:
        found = shutil.which(named)
        if not found:
            raise Missing(
                f"CELLFLEET_CELLPROFILER is {named}, which is not an executable file; "
                "unset it to have CellProfiler built"
            )
        return Path(found).absolute()
    environment = wanted()
    if not environment.is_good():
        with locked(environment.folder) as lock:
            if not environment.is_good():
                build(environment, ensure(), lock)
    return environment.executable


def wanted() -> Environment:
    """The environment that this checkout's pins and this Python ask for."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    lock_file = ROOT / "worker" / f"requirements-cellprofiler-py{minor.replace('.', '')}.txt"
    if not lock_file.exists():
        raise Missing(
            f"no pinned CellProfiler for Python {minor}; make PYTHON=... with 3.11 or 3.12"
        )
    text = lock_file.read_text()
    pins = tuple(line for line in text.splitlines() if "==" in line and not line.startswith("#"))
    digest = hashlib.sha256("\n".join(pins).encode()).hexdigest()[:10]
    return Environment(cache() / f"cellprofiler-{VERSION}-{minor}-{digest}", pins)


def cache() -> Path:
    """The folder for environments, outside the working copy."""
    if os.environ.get("CELLFLEET_CACHE"):
        return Path(os.environ["CELLFLEET_CACHE"]).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cellfleet"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the build of a folder; yields the lock's descriptor."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("CellProfiler is being built by another process; waiting ...", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def build(environment: Environment, jdk: Jdk, lock: int) -> None:
    """Build it in place, `.complete` last. The commands hold the lock too, should we be killed."""
    folder = environment.folder
    free = shutil.disk_usage(folder.parent).free / 1e9
    if free < GIGABYTES_NEEDED:
        raise Missing(
            f"{folder.parent} has {free:.1f} GB free, and CellProfiler needs {GIGABYTES_NEEDED}; "
            "CELLFLEET_CACHE names another folder"
        )
    title = f"Building CellProfiler {VERSION} in {folder} (once; a minute or a few)"
    steps = {"virtual environment": 4.0, "build tools": 8.0, "scientific packages": 45.0}
    steps |= {"Java bridge (compiling)": 30.0, "CellProfiler": 3.0, "first start": 6.0}
    progress = Progress(title, steps)
    env = {**os.environ, "JAVA_HOME": str(jdk.home), "PYTHONNOUSERSITE": "1"}

    def pip(step: str, pins: list[str], *options: str) -> None:
        progress.start(step)
        arguments = ["--no-deps", *options, *pins]
        python = str(environment.python)
        pip_install(python, arguments, progress, packages=len(pins), env=env, hold=lock)

    tools = [pin for pin in environment.pins if name(pin) in BUILD_TOOLS]
    bridge = [pin for pin in environment.pins if name(pin) in BRIDGE]
    engine = [pin for pin in environment.pins if name(pin).startswith("cellprofiler")]
    packages = [pin for pin in environment.pins if pin not in tools + bridge + engine]
    try:
        progress.start("virtual environment")
        shutil.rmtree(folder, ignore_errors=True)
        run([base_python(), "-m", "venv", str(folder)], progress, hold=lock)
        pip("build tools", tools)
        pip("scientific packages", packages)
        # The bridge holds the path of this JDK's libjvm: never one that pip built for another JDK.
        pip("Java bridge (compiling)", bridge, "--no-build-isolation", "--no-cache-dir")
        pip("CellProfiler", engine, "--no-build-isolation")
        progress.start("first start")
        smoke_test(environment)
        environment.marker.write_text(f"{jdk.libjvm}\n")
    except BaseException:
        progress.fail()
        raise
    progress.finish(f"CellProfiler {VERSION} is ready")


def smoke_test(environment: Environment) -> None:
    """It says its version, and its Java starts, reads Bio-Formats and stops."""
    commands = {
        "cellprofiler --version": [str(environment.executable), "--version"],
        "starting Java": [str(environment.python), "-c", SMOKE_TEST],
    }
    for label, command in commands.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"{label} took more than {error.timeout:.0f} s") from error
        if done.returncode != 0 or (label.endswith("--version") and VERSION not in done.stdout):
            raise StepFailed(f"{label} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def name(pin: str) -> str:
    """`Cython==0.29.37` to `cython`."""
    return pin.partition("==")[0].strip().lower()


if __name__ == "__main__":
    sys.exit(main())
