"""A run's status: what the last tick saw, and the lease of the tick that is at it now.

One object for both, so that a tick reads and takes it in two requests and writes and releases it
in one. Only the tick writes it; a reader finds the last tick's words while the next is at work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from chalicelib.aws.store import AlreadyExistsError, ChangedError, Store
from chalicelib.core import keys
from chalicelib.core.claim import LEASE, Lease
from chalicelib.errors import LeaseLostError

_LEASE = "lease"


class StatusLease:
    """The status of a run that we hold. `found` is what the last tick wrote, None if there is
    nothing that can be read; `damaged` says that there was something else."""

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        etag: str,
        lease: Lease,
        found: dict[str, Any] | None,
        damaged: bool,
        now: Callable[[], datetime],
    ):
        self._store = store
        self._key = key
        self._etag = etag
        self._lease = lease
        self._now = now
        self.found = found
        self.damaged = damaged

    def renew(self) -> None:
        """Hold on, if half of the time is over. Raises LeaseLostError."""
        now = self._now()
        if self._lease.expires_at - now < LEASE / 2:
            self._lease = self._lease.renewed(self._lease.owner, now)
            self._write(self.found or {})

    def release(self, status: dict[str, Any] | None = None) -> None:
        """Write the new status (or leave the last one), and let anybody take over.

        Raises LeaseLostError, having written nothing, if somebody did already.
        """
        self._lease = self._lease.released(self._now())
        self._write((self.found or {}) if status is None else status)

    def _write(self, status: dict[str, Any]) -> None:
        body = _body(status, self._lease)
        try:
            self._etag = self._store.replace(self._key, body, self._etag)
        except ChangedError as error:
            raise LeaseLostError(self._key) from error


def take(store: Store, run_id: str, owner: str, now: Callable[[], datetime]) -> StatusLease | None:
    """Take the run's status, in two requests; None if another tick is at the run."""
    key, moment = keys.run_status(run_id), now()
    mine = Lease(owner=owner, expires_at=moment + LEASE)
    stored = store.read(key)
    found = _parse(stored.body) if stored is not None else None
    if found is not None and _is_held(found, moment):
        return None
    try:
        if stored is None:
            etag = store.create(key, _body({}, mine))
        else:
            etag = store.replace(key, _body(found or {}, mine), stored.etag)
    except (AlreadyExistsError, ChangedError):
        return None
    return StatusLease(
        store,
        key,
        etag=etag,
        lease=mine,
        found={name: value for name, value in found.items() if name != _LEASE} if found else None,
        damaged=stored is not None and found is None,
        now=now,
    )


def _is_held(status: dict[str, Any], now: datetime) -> bool:
    try:
        return Lease.model_validate(status[_LEASE]).held(now)
    except (KeyError, ValueError):
        return False


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _body(status: dict[str, Any], lease: Lease) -> bytes:
    content = {**status, _LEASE: lease.model_dump(mode="json")}
    return to_json(content, indent=1)
