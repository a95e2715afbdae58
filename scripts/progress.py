"""Show how far a set-up of several steps has come, and run its commands.

On a terminal: one bar, redrawn. Elsewhere: one line a step. Always on standard error, so that
standard output stays free for the result.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

_WIDTH = 30
_TAIL = 40


class StepFailed(Exception):
    """A command failed; carries what it said last."""


class Progress:
    """The steps of one set-up, each with the seconds it usually takes (its share of the bar)."""

    def __init__(self, title: str, steps: Mapping[str, float]) -> None:
        self._title = title
        self._steps = dict(steps)
        self._started = time.monotonic()
        self._done = 0.0
        self._step = ""
        self._within = 0.0
        self._terminal = sys.stderr.isatty()
        print(title, file=sys.stderr, flush=True)

    def start(self, step: str) -> None:
        """The step before is done, this one begins."""
        self._done += self._steps.get(self._step, 0.0)
        self._step, self._within = step, 0.0
        if not self._terminal:
            print(f"  [{self._elapsed:4.0f} s] {step}", file=sys.stderr, flush=True)
        self.draw()

    def within(self, fraction: float) -> None:
        """How much of the current step is done, 0 to 1."""
        self._within = min(1.0, fraction)
        self.draw()

    def finish(self, message: str) -> None:
        """All steps are done."""
        self._clear()
        print(f"{message} ({self._elapsed:.0f} s)", file=sys.stderr, flush=True)

    def fail(self) -> None:
        """Leave the line free for an error message."""
        self._clear()

    def draw(self) -> None:
        if not self._terminal:
            return
        share = self._done + self._within * self._steps[self._step]
        filled = round(_WIDTH * share / sum(self._steps.values()))
        bar = "█" * filled + "░" * (_WIDTH - filled)
        sys.stderr.write(f"\r\x1b[K  {bar} {self._elapsed:4.0f} s  {self._step}")
        sys.stderr.flush()

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _clear(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")


def run(
    command: Sequence[str],
    progress: Progress,
    *,
    env: Mapping[str, str] | None = None,
    expected: int = 0,
    counts: Callable[[str], bool] | None = None,
    hold: int | None = None,
) -> None:
    """Run a command quietly; its last words are in the StepFailed that a failure raises.

    `expected` lines for which `counts` holds are the whole of the step. `hold` is a file
    descriptor that the command keeps open too (a lock outlives us if the command does).
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        pass_fds=() if hold is None else (hold,),
    )
    said: list[str] = []
    counted = 0
    try:
        for line in _lines_and_ticks(process):
            said.append(line) if line else progress.draw()
            if counts is not None and counts(line):
                counted += 1
                progress.within(counted / expected)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.wait() != 0:
        raise StepFailed(_last_words(command, process.returncode, said))


def pip_install(
    python: str,
    arguments: Sequence[str],
    progress: Progress,
    *,
    packages: int,
    env: Mapping[str, str] | None = None,
    hold: int | None = None,
) -> None:
    """`pip install`, `packages` of them (dependencies included), with the bar moving."""
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]
    run(
        [*pip, "install", "--progress-bar", "off", *arguments],
        progress,
        env=env,
        expected=max(1, packages),
        counts=lambda line: line.startswith("Collecting "),
        hold=hold,
    )


def _lines_and_ticks(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines of the output as they come, and an empty one each second without any."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip() or " ")
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def _last_words(command: Sequence[str], code: int, said: Sequence[str]) -> str:
    errors = [line for line in said if line.lstrip().lower().startswith(("error", "fatal"))]
    lines = [*said[-_TAIL:], *(["Among it:", *errors[:5]] if errors else [])]
    return "\n".join([f"{' '.join(command[:4])} ... ended with {code}:", *lines])
