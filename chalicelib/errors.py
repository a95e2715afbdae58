"""The errors that CellFleet raises on purpose.

Everything a user can mend is an `InputError` and carries `Problem`s: which key or
position, which value was found, what was expected, what to do next. The rest says
who holds what, or what stopped us. Anything else that surfaces is a defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with what a user gave us.

    `where` is a key (`EBS_VOL_SIZE`), a position (`groups[17]`) or a line (`line 4`);
    `found` is the value as the user wrote it (already shortened), "" if there is none.
    """

    where: str
    expected: str
    found: str = ""
    hint: str = ""

    def __str__(self) -> str:
        found = f" is {self.found}" if self.found else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.where}{found}: {self.expected}{hint}"


class CellFleetError(Exception):
    """Anything CellFleet raises on purpose."""


class InputError(CellFleetError):
    """What the user gave can't be used. `problems` holds at most the first 100 reasons."""

    what = "input"

    def __init__(self, source: str, problems: Sequence[Problem], *, total: int | None = None):
        self.source = source
        self.problems = tuple(problems)
        self.total = len(self.problems) if total is None else total
        super().__init__(source, self.problems, self.total)

    def __str__(self) -> str:
        head = f"{self.what} {self.source}: {self.total} problem{'s' if self.total != 1 else ''}"
        lines = [f"  - {problem}" for problem in self.problems]
        if self.total > len(self.problems):
            lines.append(f"  … and {self.total - len(self.problems)} more")
        return "\n".join([head, *lines])


class ConfigError(InputError):
    """The configuration can't be used."""

    what = "config"


class JobFileError(InputError):
    """The job file can't be used."""

    what = "job file"


class FleetFileError(InputError):
    """The fleet file can't be used."""

    what = "fleet file"


class ConflictError(CellFleetError):
    """Something that isn't ours, or a live run with other settings, stands in the way."""


class NotFoundError(CellFleetError):
    """The app, run or file that was asked for doesn't exist."""


class UnreadableError(CellFleetError):
    """A run's record can't be read: damaged, or written by a later CellFleet."""


class NotReadyError(CellFleetError):
    """Something must end first (a queue's name, an earlier run); it is tried again by itself."""


class LeaseLostError(CellFleetError):
    """Another process took over what we were doing: stop, touch nothing more."""


class DeadlineError(CellFleetError):
    """Our time is nearly up; what is saved will be resumed by the next tick."""
