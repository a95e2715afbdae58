"""One slot's warm CellProfiler: kept between jobs, and given up at the first doubt.

What it can't do, `engine` does with the command line, whose results it equals.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import threading
import uuid
from collections import deque
from pathlib import Path
from typing import Any, Callable

from worker import engine
from worker.engine import Command, Finished, Output
from worker.failures import Check

#: A process is replaced after this many jobs, or when it holds so many bytes more than after its
#: first one: what CellProfiler and Java don't give back adds up.
JOBS = 50
GROWTH = 512 * 2**20
#: How long a process may take to start, in seconds, on a machine that has much else to do.
START_SECONDS = 180.0
#: After this many starts that failed, a slot tries no more.
MOST_FAILED_STARTS = 2
_REMEMBERED = 100
_QUEUED_LINES = 1000
# Neither the folder in hand nor the worker's own may come first: `queue` is ours, too.
_BOOT = (
    "import sys; sys.path = [p for p in sys.path if p] + [sys.argv[1]]; "
    "from worker.warm_process import main; main(sys.argv[2])"
)
_OWN_SCRIPT = re.compile(r"cellprofiler\.__main__|ENTRY-SCRIPT: *'?cellprofiler", re.IGNORECASE)


class Unsuited(Exception):
    """The command line has to run the job; says why. Nothing has been done yet."""


class WarmEngine:
    """Runs a slot's jobs, one after another. Not for several threads.

    `executable` is CellProfiler's command, `folder` an existing one for the process to start in,
    `python` the Python that has CellProfiler, or "".
    """

    def __init__(self, executable: str, folder: Path, clock: Callable[[], float]):
        self.python = interpreter(executable)
        self._executable = executable
        self._folder = folder
        self._clock = clock
        self._process: Process | None = None
        self._failed_starts = 0
        self._unsuited: dict[tuple[str, str], str] = {}

    def warm_up(self, command: Command) -> None:
        """Let a process start, if the job will have it and there is none. Doesn't wait."""
        if not self._why_cold(command) and not self._process:
            with contextlib.suppress(OSError):  # `run` meets it again
                self._process = Process(self.python, self._folder)

    def run(
        self, command: Command, timeout: float, check: Check, log: Callable[[str], None]
    ) -> Finished:
        """As `engine.run`."""
        try:
            return self._run(command, timeout, check, log)
        except Unsuited as reason:
            self.close()
            log("CellProfiler is started for this job alone: %s" % reason)
        except BaseException:
            self.close()
            raise
        return engine.run(command, timeout, check, log, self._clock)

    def close(self) -> None:
        """End the process, if there is one, with all that it started."""
        if self._process:
            self._process.kill()
            self._process = None

    def _run(
        self, command: Command, timeout: float, check: Check, log: Callable[[str], None]
    ) -> Finished:
        reason = self._why_cold(command)
        if reason:
            raise Unsuited(reason)
        deadline = self._clock() + timeout
        process = self._started(check)
        output = Output(log)
        process.send(_job(command))
        word = self._word(process, deadline, check, output.feed)
        if word is None:
            raise engine.hang(timeout)
        if "unsuited" in word:
            while len(self._unsuited) >= _REMEMBERED:
                self._unsuited.pop(next(iter(self._unsuited)))
            self._unsuited[_subject(command)] = word["unsuited"]
            raise Unsuited(word["unsuited"])
        finished = output.finished(word["exit_code"], word["done"])
        self._retire(process, finished, word.get("memory", 0))
        return finished

    def _word(
        self, process: Process, deadline: float, check: Check, feed: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """The process's next word, what CellProfiler says before it being fed to `feed`; None if
        it doesn't come in time."""
        while self._clock() <= deadline:
            check()
            line = process.line()
            if isinstance(line, str):
                feed(line)
            elif line is not None:
                return line
        return None

    def _why_cold(self, command: Command) -> str:
        """Why the command line has to run a job, as far as is known; "" if it needn't."""
        if command.cold:
            return command.cold
        if not self.python:
            return "%s isn't CellProfiler's own start script" % self._executable
        if self._failed_starts >= MOST_FAILED_STARTS:
            return "it couldn't be kept running"
        return self._unsuited.get(_subject(command), "")

    def _started(self, check: Check) -> Process:
        """The process, ready for a job."""
        if self._process and self._process.ready and self._process.ended():
            self.close()
        said: deque[str] = deque(["it said nothing"], maxlen=1)
        try:
            process = self._process = self._process or Process(self.python, self._folder)
        except OSError as error:
            raise self._not_started(str(error)) from error
        if not process.ready:
            word = self._word(process, self._clock() + START_SECONDS, check, said.append)
            process.ready = bool(word and word.get("ready"))
        if not process.ready:
            raise self._not_started(said[0])
        self._failed_starts = 0
        return process

    def _not_started(self, why: str) -> Unsuited:
        self._failed_starts += 1
        return Unsuited("it couldn't be kept running (%s)" % why)

    def _retire(self, process: Process, finished: Finished, memory: int) -> None:
        """End the process where another job had better not use it."""
        process.jobs += 1
        process.first_memory = process.first_memory or memory
        clean = finished.exit_code == 0 and not finished.signs
        grown = memory - process.first_memory > GROWTH
        if not clean or grown or process.jobs >= JOBS:
            self.close()


class Process:
    """A running `warm_process` and what it says: whether it is `ready` for jobs, how many it has
    done, and how many bytes of memory it held after the first."""

    def __init__(self, python: str, folder: Path):
        self.ready = False
        self.jobs = 0
        self.first_memory = 0
        self._token = uuid.uuid4().hex
        self._lines: queue.Queue[str | dict[str, Any]] = queue.Queue(_QUEUED_LINES)
        self._given_up = threading.Event()
        root = str(Path(__file__).resolve().parents[1])
        self._process = subprocess.Popen(
            [python, "-c", _BOOT, root, self._token],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=engine.environment(os.environ, folder),
            cwd=str(folder),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="warm output", daemon=True)
        self._reader.start()

    def send(self, job: dict[str, Any]) -> None:
        """Give it a job; one that has died is found out by its silence."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write((json.dumps(job) + "\n").encode("utf-8"))
            self._process.stdin.flush()

    def line(self) -> str | dict[str, Any] | None:
        """The next thing it says: a line of CellProfiler's, or its own word, which is also how it
        ended if it did. None when it says nothing for a moment."""
        try:
            return self._lines.get(timeout=engine.POLL_SECONDS)
        except queue.Empty:
            pass
        # Its output may stay open: something that it started may hold it.
        return {"exit_code": self._process.returncode, "done": ""} if self.ended() else None

    @property
    def pid(self) -> int:
        """Its number, which is also that of its group."""
        return self._process.pid

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it and all that it started."""
        self._given_up.set()
        engine.kill(self._process)
        self._reader.join(5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream and not self._reader.is_alive():
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in engine.lines_of(self._process.stdout):
            word = line.startswith(self._token)
            self._put(json.loads(line[len(self._token) :]) if word else line)
        self._put({"exit_code": self._process.wait(), "done": ""})

    def _put(self, line: str | dict[str, Any]) -> None:
        while not self._given_up.is_set():
            with contextlib.suppress(queue.Full):
                self._lines.put(line, timeout=engine.POLL_SECONDS)
                return


def interpreter(executable: str) -> str:
    """The Python that CellProfiler's start script names; "" for any other program."""
    path = shutil.which(executable)
    if not path:
        return ""
    with open(path, "rb") as file:
        text = file.read(4096).decode("utf-8", "replace")
    if not text.startswith("#!") or not _OWN_SCRIPT.search(text):
        return ""
    first, second = ([*text.splitlines(), ""])[:2]
    words = first[2:].split()
    if second.startswith("'''exec'"):  # pip's way around paths that are long or have spaces
        return shlex.split(second[len("'''exec'") :])[0]
    if words and os.path.basename(words[0]) == "env":
        return shutil.which(words[-1]) or ""
    return words[0] if words else ""


def _subject(command: Command) -> tuple[str, str]:
    """What decides whether jobs can be run warm."""
    pipeline = hashlib.sha256(command.pipeline.read_bytes()).hexdigest()
    return str(command.data_file), pipeline


def _job(command: Command) -> dict[str, Any]:
    return {
        "pipeline": str(command.pipeline),
        "data_file": str(command.data_file),
        "input": str(command.input),
        "output": str(command.output),
        "temporary": str(command.temporary),
        "group": command.group,
        "always_continue": command.always_continue,
    }
