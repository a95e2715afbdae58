"""Leases: who is doing something now, until when. One JSON object each, changed by CAS only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from chalicelib.core.run import NextStep

#: A lease not renewed for this long is stale and may be taken over.
LEASE = timedelta(seconds=90)

State = Literal["working", "waiting", "closed", "refused"]


class Lease(BaseModel):
    """Somebody (`owner`) is at work until `expires_at`, unless they renew."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = 1
    owner: str
    expires_at: datetime

    def held(self, now: datetime) -> bool:
        """Whether its owner must still be believed to be at work."""
        return now < self.expires_at

    def renewed(self, owner: str, now: datetime) -> Self:
        """The same for `owner`, from now on."""
        return self.model_copy(update={"owner": owner, "expires_at": now + LEASE})

    def released(self, now: datetime) -> Self:
        """The same, for anybody to take."""
        return self.model_copy(update={"expires_at": now})

    def to_json(self) -> bytes:
        return self.model_dump_json().encode()


class Claim(Lease):
    """A submission: one version of one job file, and how far its jobs are sent.

    `cursor` is an index into the job file's groups: all before it are sent. `waiting` means
    that an earlier run of the app must end first.
    """

    bucket: str
    key: str
    #: Which bytes were checked and are being sent; "" until the file was first looked at.
    etag: str = ""
    #: Their version, where the bucket keeps versions; "" until then, or if it doesn't.
    version_id: str = ""
    state: State = "working"
    run_id: str = ""
    cursor: int = 0
    sent: int = 0
    jobs: int = 0
    duplicates: int = 0
    #: What is to follow; known once the file was checked.
    then: NextStep | None = None

    @property
    def over(self) -> bool:
        """Closed or refused: nothing is left to do, however often the event arrives."""
        return self.state in ("closed", "refused")
