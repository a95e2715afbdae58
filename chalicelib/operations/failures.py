"""Which jobs of a run failed, and why, as the workers wrote it into the ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws.services import Services
from chalicelib.contract import DEAD, FAILED, LedgerEntry, ledger_prefix
from chalicelib.core.api.answers import FailureAnswer, FailuresAnswer
from chalicelib.core.run import RunRecord
from chalicelib.errors import ConflictError

#: Listing calls that one request makes to fill a page: 1,000 outcomes each.
_MOST_CALLS = 20
_CALL = 1_000
_MOST_SENTENCE = 2_000


def check_ledger(record: RunRecord) -> None:
    """Raises ConflictError for a run whose workers write none."""
    if record.worker == "dcp":
        raise ConflictError(
            f"the run {record.run_id} has DCP's workers, which don't tell how each job ended: look "
            f"into its logs, and into its dead-letter queue {record.dead_letter_url}"
        )


def failures(
    services: Services, run_id: str, *, outcome: str | None, limit: int, after: str | None
) -> FailuresAnswer:
    """A page of failed tries, the oldest first. Raises NotFoundError and ConflictError."""
    check_ledger(services.runs.load(run_id))
    wanted = (FAILED, DEAD) if outcome is None else (outcome,)
    prefix = ledger_prefix(run_id)
    behind = prefix + after if after else ""
    found: list[tuple[str, LedgerEntry]] = []
    more = True
    for _ in range(_MOST_CALLS):
        page, more = services.store.page(prefix, behind, _CALL)
        for key in page:
            entry = LedgerEntry.parse(key)
            if entry is not None and entry.outcome in wanted and len(found) <= limit:
                found.append((key, entry))
        if page:
            behind = page[-1]
        if not more or len(found) > limit:
            break
    if len(found) > limit:
        more, behind, found = True, found[limit - 1][0], found[:limit]
    with services.executor() as pool:
        told = tuple(pool.map(lambda item: _failure(services, *item), found))
    return FailuresAnswer(failures=told, next=behind.removeprefix(prefix) if more else None)


def _failure(services: Services, key: str, entry: LedgerEntry) -> FailureAnswer:
    stored = services.store.read(key)
    told = _told(stored.body if stored else b"")
    group = told.get("group")
    return FailureAnswer(
        job=entry.job,
        submission=entry.submission,
        attempt=entry.attempt,
        outcome="dead" if entry.outcome == DEAD else "failed",
        cause=entry.cause or "unknown",
        at=_time(entry.minute),
        seconds=entry.seconds,
        sentence=_text(told, "sentence"),
        group={str(k): str(v) for k, v in group.items()} if isinstance(group, dict) else {},
        folder=_text(told, "folder"),
        log_stream=_text(told, "log_stream"),
    )


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(told: dict[str, Any], name: str) -> str:
    text = str(told.get(name, ""))
    return text if len(text) <= _MOST_SENTENCE else text[: _MOST_SENTENCE - 1] + "…"


def _time(minute: str) -> datetime:
    try:
        return datetime.strptime(minute, "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:  # digits that are no time
        return datetime.fromtimestamp(0, UTC)
