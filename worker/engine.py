"""Runs CellProfiler's command line: its own process, in a group of its own, never a shell."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Iterator, Mapping

from chalicelib import contract
from worker.failures import Check, JobFailure

_LINE_BYTES = 4096
_TAIL_LINES = 200
_ERROR_LINES = 20
POLL_SECONDS = 0.2
# Lines that decide about success wherever they stand; kept apart from the tail.
MODULE_ERROR = "Error detected during run of module"
LOAD_ERROR = "Failed to load pipeline"
SIGNS = (
    LOAD_ERROR,
    MODULE_ERROR,
    "Failed to prepare run for module",
    "Failed to complete post_run processing",
    "Could not find the",
)


@dataclass(frozen=True)
class Finished:
    """How the process ended. `exit_code` is negative for a signal; `done` is the text of the
    done file, "" if there is none; `module_errors` counts the image sets in which a module
    failed; `signs` and `tail` are lines of its output."""

    exit_code: int
    done: str
    module_errors: int
    signs: tuple[str, ...]
    tail: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """What CellProfiler is asked to do. `data_file` is LoadData's CSV, `file_list` a list of files;
    a batch file has neither. `group` is "" where it isn't to be named. `cold` says why a process
    of its own has to do it; "" where a warm one may."""

    executable: str
    pipeline: Path
    input: Path
    output: Path
    done: Path
    temporary: Path
    data_file: Path | None = None
    file_list: Path | None = None
    group: str = ""
    always_continue: bool = False
    plugins: Path | None = None
    cold: str = ""

    def arguments(self) -> list[str]:
        """The argument list."""
        arguments = [self.executable, "-c", "-r"]
        arguments += ["-p", str(self.pipeline), "-i", str(self.input)]
        arguments += ["-o", str(self.output), "-d", str(self.done)]
        arguments += ["--data-file=%s" % self.data_file] if self.data_file else []
        arguments += ["--file-list=%s" % self.file_list] if self.file_list else []
        arguments += ["-g", self.group] if self.group else []
        arguments += ["--plugins-directory=%s" % self.plugins] if self.plugins else []
        arguments += ["--always-continue"] if self.always_continue else []
        return arguments

    def line(self) -> str:
        """For the log. DCP's dashboard counts the lines that hold `cellprofiler -c`."""
        return " ".join(shlex.quote(word) for word in ["cellprofiler", *self.arguments()[1:]])

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The process's environment: one thread a slot, temporary files in the job's folder."""
        return environment(inherited, self.temporary)


def environment(inherited: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """The environment of CellProfiler's processes, warm or not."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **inherited,
        **dict.fromkeys(threads, "1"),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
    }


class Output:
    """The process's output as it passes: what decides, and the last lines; bounded."""

    def __init__(self, log: Callable[[str], None]):
        self._log = log
        self.module_errors = 0
        self.signs: list[str] = []
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, line: str) -> None:
        """Take one line."""
        self.tail.append(line)
        self.module_errors += MODULE_ERROR in line
        if any(sign in line for sign in SIGNS) and len(self.signs) < _ERROR_LINES:
            self.signs.append(line)
        self._log(line)

    def read(self, stream: IO[bytes]) -> None:
        """Take all of a stream."""
        for line in lines_of(stream):
            self.feed(line)

    def finished(self, exit_code: int, done: str) -> Finished:
        """All that is known of a run that ended so."""
        return Finished(exit_code, done, self.module_errors, tuple(self.signs), tuple(self.tail))


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """The lines of a stream that aren't empty, cutting those that never end."""
    for raw in iter(lambda: stream.readline(_LINE_BYTES), b""):
        line = raw.decode("utf-8", "replace").rstrip()
        if line:
            yield line


def run(
    command: Command,
    timeout: float,
    check: Check,
    log: Callable[[str], None],
    clock: Callable[[], float],
) -> Finished:
    """Run CellProfiler to its end. `timeout` is in seconds.

    Raises JobFailure (`hang` past the timeout, `crash` if it can't be started) and whatever
    `check` raises; the whole process group is dead then.
    """
    try:
        process = subprocess.Popen(
            command.arguments(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=command.environment(os.environ),
            cwd=str(command.temporary),
            start_new_session=True,
        )
    except OSError as error:
        raise JobFailure(
            contract.CRASH, "CellProfiler can't be started (%s): %s" % (command.executable, error)
        ) from error
    output = Output(log)
    assert process.stdout is not None
    reader = threading.Thread(target=output.read, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        _wait(process, clock() + timeout, timeout, check, clock)
    finally:
        kill(process)
        reader.join(5)
        if not reader.is_alive():
            process.stdout.close()
    return output.finished(process.returncode, _text(command.done))


def _wait(
    process: subprocess.Popen[bytes],
    deadline: float,
    timeout: float,
    check: Check,
    clock: Callable[[], float],
) -> None:
    while True:
        try:
            process.wait(POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            check()
        if clock() > deadline:
            raise hang(timeout)


def hang(timeout: float) -> JobFailure:
    """The failure of a job that had `timeout` seconds."""
    return JobFailure(
        contract.HANG,
        "CellProfiler had not finished after %.0f minutes and was stopped; if such jobs "
        "do take that long, raise SQS_MESSAGE_VISIBILITY" % (timeout / 60),
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; also what a process that ended left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.exists() else ""
