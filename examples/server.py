"""The embedded AWS as a process of its own, as a user would start it: `run.py local`."""

import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-u", "run.py", "local", "--port", "0", "--seconds-per-tick", "2")
READY = "CellFleet local is ready"
_TAIL_LINES = 40
_ANNOUNCED = re.compile(r"^\s*(endpoint|bucket)\s*[:=]?\s+(\S+)\s*$", re.IGNORECASE)


class ServerError(RuntimeError):
    """The embedded AWS did not start, or ended before its time; says what it printed last."""


class LocalServer:
    """`with LocalServer() as server:` starts it; leaving the block stops it, whatever happens."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._announced: dict[str, str] = {}
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._said_ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "LocalServer":
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches this program alone, which then stops the server in its own time.
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._listener.join()

    @property
    def endpoint(self) -> str:
        """The URL that it serves every AWS API at."""
        return self._announced["endpoint"]

    @property
    def bucket(self) -> str:
        """The deployment bucket."""
        return self._announced["bucket"]

    @property
    def tail(self) -> str:
        """The last lines that it printed."""
        return "\n".join(self._tail)

    def wait_until_ready(self, seconds: float) -> None:
        """Raises ServerError when it ends, or isn't ready in time."""
        if not self._said_ready.wait(seconds):
            raise ServerError(f"`run.py local` was not ready after {seconds:.0f} s.\n{self.tail}")
        self.check()
        if missing := {"endpoint", "bucket"} - self._announced.keys():
            raise ServerError(f"`run.py local` named no {' and no '.join(sorted(missing))}.")

    def check(self) -> None:
        """Raises ServerError when it no longer runs."""
        code = self._process.poll() if self._process else None
        if code is not None:
            raise ServerError(f"`run.py local` ended with exit code {code}.\n{self.tail}")

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._tail.append(line.rstrip())
                if announced := _ANNOUNCED.match(line):
                    self._announced.setdefault(announced[1].lower(), announced[2])
                if READY in line:
                    self._said_ready.set()
        process.wait()
        # Whoever waits is to learn at once that nothing more will come.
        self._said_ready.set()
