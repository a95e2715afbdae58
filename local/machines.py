"""What a spot instance and the containers on it are here: a folder, and real processes."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib import contract
from local.placement import AgentSettings, Needs

_CONTAINER = Path(__file__).with_name("container.py")


class Container:
    """A command in a session of its own; all that it starts ends with it, or with us."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
    ):
        """`folder` is the working directory; `log` takes both outputs."""
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_CONTAINER), *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; 128 + N for signal N, as ECS reports it."""
        code = self._process.poll()
        if code is not None:
            self._close()
        # A signal that comes before container.py has got ready ends it by itself.
        return 128 - code if code is not None and code < 0 else code

    def terminate(self) -> None:
        """Ask the command to end: SIGTERM, to it alone."""
        self._process.terminate()

    def kill(self) -> None:
        """End everything in it, now; returns when that has happened."""
        self._close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


@dataclass(eq=False)
class LocalTask:
    """An ECS task and its container. Times are of the monotonic clock, in seconds."""

    task: Any  # moto's
    service: str
    container: Container
    folder: Path
    needs: Needs
    stop_seconds: float
    started: float
    log_group: str = ""
    log_stream: str = ""
    protected_until: float = 0.0
    kill_at: float | None = None

    @property
    def id(self) -> str:
        return str(self.task.id)

    @property
    def stopping(self) -> bool:
        return self.kill_at is not None

    def stop(self, now: float, reason: str, seconds: float | None = None) -> None:
        """SIGTERM, and SIGKILL when the time to stop is up."""
        if self.stopping:
            return
        self.kill_at = now + (self.stop_seconds if seconds is None else seconds)
        self.task.desired_status = "STOPPED"
        self.task.stopped_reason = reason
        self.container.terminate()


@dataclass(eq=False)
class Machine:
    """A running instance. `size` is what it registers with ECS, `registered` moto's object."""

    id: str
    region: str
    settings: AgentSettings
    size: Needs
    folder: Path
    boots_at: float
    registered: Any = None
    gone: bool = False
    terminate_at: float | None = None
    tasks: list[LocalTask] = field(default_factory=list)

    @property
    def host_folder(self) -> Path:
        """What the containers see as the folder they share with the host."""
        return self.folder / "host"

    @property
    def free(self) -> Needs:
        left = self.size
        for task in self.tasks:
            left = left - task.needs
        return left

    def boot(self) -> None:
        """Make its folders; boot is a sign of life."""
        self.host_folder.mkdir(parents=True, exist_ok=True)
        (self.host_folder / contract.HOST_ALIVE).touch()

    def remove(self) -> None:
        """Forget its folders."""
        shutil.rmtree(self.folder, ignore_errors=True)
