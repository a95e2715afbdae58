"""Requests that come twice are done once: the first answer is kept under the idempotency key.

The key is taken by a conditional write, as a lease. Who dies with it leaves it to whoever comes
with the same request after that. Only good answers are kept: what was refused left nothing behind,
and may be tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.aws.services import Services
from chalicelib.aws.store import AlreadyExistsError, ChangedError
from chalicelib.core import keys
from chalicelib.core.api.refusals import KeyUsedError
from chalicelib.core.api.request import Answer
from chalicelib.errors import NotReadyError

#: How long an answer is kept, and how long a request may be at work.
KEPT = timedelta(days=1)
AT_WORK = timedelta(minutes=2)


class _Kept(BaseModel):
    """One idempotency key: whose request, and its answer once there is one (status 0: none)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    fingerprint: str
    until: datetime
    status: int = 0
    body: Mapping[str, Any] = {}


def once(
    services: Services, app: str, key: str, fingerprint: str, act: Callable[[], Answer]
) -> Answer:
    """What `act` answers, or what it answered when the same request came before.

    Raises KeyUsedError when the key came with another request, NotReadyError while that one is
    still at work, and what `act` raises.
    """
    place = keys.answer(app, hashlib.sha256(key.encode()).hexdigest()[:32])
    mine = _Kept(fingerprint=fingerprint, until=services.now() + AT_WORK)
    kept = _take(services, place, mine)
    if kept is not None:
        return Answer(status=kept.status, body=kept.body, headers={"Idempotent-Replayed": "true"})
    try:
        answer = act()
    except Exception:
        services.store.delete(place)
        raise
    done = mine.model_copy(
        update={
            "until": services.now() + KEPT,
            "status": answer.status,
            "body": answer.body,
        }
    )
    services.store.put(place, done.model_dump_json().encode())
    return answer


def _take(services: Services, place: str, mine: _Kept) -> _Kept | None:
    """Take the key; or the answer that is kept under it."""
    body = mine.model_dump_json().encode()
    stored = services.store.read(place)
    try:
        if stored is None:
            services.store.create(place, body)
            return None
        kept = _Kept.model_validate_json(stored.body)
        if services.now() < kept.until:
            if kept.fingerprint != mine.fingerprint:
                raise KeyUsedError(
                    "this Idempotency-Key came with another request before; a new request needs "
                    "a new one"
                )
            if kept.status:
                return kept
            raise _at_work()
        services.store.replace(place, body, stored.etag)
    except (AlreadyExistsError, ChangedError) as error:
        raise _at_work() from error
    return None


def _at_work() -> NotReadyError:
    return NotReadyError("the same request is still at work; ask again in a minute")
