"""The run record, and what follows from it: notices, the next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.run import Result
from chalicelib.core.upload import Upload


@dataclass(frozen=True, kw_only=True)
class ChangePhase:
    """By compare-and-swap; whoever loses re-reads and decides anew."""

    phase: str
    outcome: str = ""
    #: How the jobs ended, to be kept with the teardown's beginning.
    result: Result | None = None

    def __str__(self) -> str:
        return f"the run is {self.phase}{f' ({self.outcome})' if self.outcome else ''}"


@dataclass(frozen=True, kw_only=True)
class Remember:
    """Fields of the run record to set: what AWS gave us, or what was done.

    Left out when an action before it failed.
    """

    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return f"record {', '.join(sorted(self.fields))}"


@dataclass(frozen=True, kw_only=True)
class ResolveMissing:
    """Find the jobs that no outcome was recorded of: send them again, or enter them as dead."""

    send_again: bool

    def __str__(self) -> str:
        return f"{'send lost jobs again' if self.send_again else 'enter lost jobs as dead'}"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something the user should know; kept in the run record."""

    text: str

    def __str__(self) -> str:
        return f"note: {self.text}"


@dataclass(frozen=True, kw_only=True)
class StartNextStep:
    """Mark the next job file as waiting to be submitted. Marking it again changes nothing."""

    upload: Upload

    def __str__(self) -> str:
        return f"go on with {self.upload.key} (app {self.upload.app})"


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Tell the run's topic, once for each kind. What can't be told holds up nothing."""

    kind: str
    subject: str
    body: str

    def __str__(self) -> str:
        return f"send the notice {self.kind!r}: {self.subject}"
