"""What became of a job file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.core.upload import Upload

__all__ = ["Outcome", "Upload"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a submission, now.

    `held`: another process is at work on it. `over`: it was closed or refused before.
    `waiting`: an earlier run must end first; a tick goes on by itself.
    """

    state: Literal["closed", "refused", "waiting", "held", "over"]
    submission: str
    run_id: str = ""
    jobs: int = 0
    duplicates: int = 0
    messages: tuple[str, ...] = ()
