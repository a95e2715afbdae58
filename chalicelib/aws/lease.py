"""Taking, renewing and releasing leases in the deployment bucket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from chalicelib.aws.store import AlreadyExistsError, ChangedError, Store
from chalicelib.core.claim import Lease
from chalicelib.errors import LeaseLostError

L = TypeVar("L", bound=Lease)


class Held(Generic[L]):
    """A lease that we hold. Every save renews it; losing it raises LeaseLostError."""

    def __init__(self, store: Store, key: str, value: L, etag: str, now: Callable[[], datetime]):
        self._store = store
        self._key = key
        self._etag = etag
        self._now = now
        self.value = value
        self.saved_at = now()

    def save(self, value: L) -> None:
        """Store the new state and renew."""
        self._write(value.renewed(self.value.owner, self._now()))

    def release(self, value: L) -> None:
        """Store the new state and let anybody take over."""
        self._write(value.released(self._now()))

    def _write(self, value: L) -> None:
        try:
            self._etag = self._store.replace(self._key, value.to_json(), self._etag)
        except ChangedError as error:
            raise LeaseLostError(self._key) from error
        self.value = value
        self.saved_at = self._now()


def take(store: Store, key: str, fresh: L, now: Callable[[], datetime]) -> tuple[Held[L] | None, L]:
    """Take a lease: new, or another's stale one (its state kept).

    Returns what we hold, None if another is at work, and the state as it was found.
    """
    moment = now()
    try:
        mine = fresh.renewed(fresh.owner, moment)
        etag = store.create(key, mine.to_json())
    except AlreadyExistsError:
        stored = store.read(key)
        if stored is None:  # deleted meanwhile: the next event or tick takes it
            return None, fresh
        found = type(fresh).model_validate_json(stored.body)
        if found.held(moment):
            return None, found
        mine = found.renewed(fresh.owner, moment)
        try:
            etag = store.replace(key, mine.to_json(), stored.etag)
        except ChangedError:
            return None, found
        return Held(store, key, mine, etag, now), found
    return Held(store, key, mine, etag, now), mine
