"""A job file in a bucket, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from chalicelib.contract import submission_id


class Upload(BaseModel):
    """A job file in a bucket. `version` tells uploads of one key apart: S3's version id, or
    the event's sequencer where the bucket keeps no versions. `start`: machines are wanted too."""

    model_config = ConfigDict(frozen=True)

    app: str
    name: str
    bucket: str
    key: str
    version: str = ""
    sequencer: str = ""
    #: Of the bytes that were uploaded, as the event tells it; "" if it doesn't.
    etag: str = ""
    start: bool = True

    @property
    def submission(self) -> str:
        return submission_id(self.bucket, self.key, self.version or self.sequencer)


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
