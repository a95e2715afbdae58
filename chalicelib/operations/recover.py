"""A run whose record was lost, begun anew under its own id: what it was sent is read from the claims.

Somebody deleted the record, or its bucket's lifecycle did. The messages, the ledger and the
machines bear the run's id still; with its submissions back, it ends when all of their jobs have.
"""

from __future__ import annotations

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.run import RunRecord, Submission


def recover(services: Services, record: RunRecord) -> RunRecord:
    """The new record with the submissions that were sent to the run before; as it is for a run
    that was never sent any. One request for each job file that the app ever sent."""
    found: dict[str, Submission] = {}
    for key in services.store.list(keys.claims(record.app)):
        services.check_deadline()
        stored = services.store.read(key)
        claim = _claim(stored.body) if stored else None
        if claim is None or claim.run_id != record.run_id or claim.state == "refused":
            continue
        found[key.rsplit("/", 1)[-1].removesuffix(".json")] = Submission(
            source=f"s3://{claim.bucket}/{claim.key}",
            jobs=claim.jobs,
            closed=claim.state == "closed",
            then=claim.then,
        )
    record = record.model_copy(update={"made_anew": True})
    if not found:
        return record
    told = (
        f"the record of this run was lost and made anew: its {len(found)} job files were found "
        "again, what else was noted of it was not"
    )
    return record.model_copy(update={"submissions": found}).with_note(told)


def _claim(body: bytes) -> Claim | None:
    try:
        return Claim.model_validate_json(body)
    except ValueError:
        return None
