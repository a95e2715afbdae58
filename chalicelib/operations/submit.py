"""A submission: one version of one job file, from its claim to its last message.

The claim is a lease with a cursor, so that an event may arrive twice, late, or in the middle of
another's work, and a process may die anywhere: whoever takes the lease next goes on at the
cursor. Messages sent after the last cursor are sent again; workers publish each job once.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger

from chalicelib.aws import lease
from chalicelib.aws.lease import Held
from chalicelib.aws.log import bound
from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.refusal import refusal
from chalicelib.errors import (
    CellFleetError,
    ConflictError,
    DeadlineError,
    InputError,
    NotFoundError,
    NotReadyError,
)
from chalicelib.operations.next_step import tell_refusal
from chalicelib.operations.upload import Outcome, Upload
from chalicelib.operations.work import SupersededError, Work

__all__ = ["Outcome", "Upload", "submit"]

log = Logger(service="cellfleet", child=True)


def submit(services: Services, upload: Upload) -> Outcome:
    """Take a job file through to its last message, or as far as time and leases allow.

    Raises DeadlineError when time is up, LeaseLostError when another process took over, and
    AWS's own errors; each time a tick, or the event's next delivery, goes on.
    """
    with bound(app=upload.app, submission=upload.submission):
        return _submit(services, upload)


def _submit(services: Services, upload: Upload) -> Outcome:
    name = upload.submission
    marker = keys.pending(upload.app, name)
    fresh = Claim(
        owner=services.owner,
        expires_at=services.now(),
        bucket=upload.bucket,
        key=upload.key,
        etag=upload.etag,
    )
    # The mark first: a submission that was begun can always be found and resumed.
    services.store.put(marker, upload.model_dump_json().encode())
    held, found = lease.take(services.store, keys.claim(upload.app, name), fresh, services.now)
    if found.over:
        if held is not None:
            held.release(found)
        services.store.delete(marker)
        return Outcome(state="over", submission=name, run_id=found.run_id)
    if held is None:
        return Outcome(state="held", submission=name)
    work = Work(services, upload, held)
    try:
        outcome = work.already_closed() or work.go()
    except SupersededError as error:
        outcome = work.give_way(error)
    except (InputError, ConflictError, NotFoundError) as error:
        work.cut_short(error)
        outcome = _refuse(services, upload, held, error)
    except NotReadyError as error:
        log.info("submission waits", extra={"reason": str(error)})
        held.release(held.value.model_copy(update={"state": "waiting"}))
        return Outcome(state="waiting", submission=name, messages=(str(error),))
    except DeadlineError:
        held.release(held.value)
        raise
    services.store.delete(marker)
    return outcome


def _refuse(
    services: Services, upload: Upload, held: Held[Claim], error: CellFleetError
) -> Outcome:
    """Say why, where the user looks for it, and in the log."""
    place = keys.refusal(upload.app, upload.name)
    services.store.put(place, refusal(error, key=upload.key, now=services.now()))
    if upload.follows:
        tell_refusal(services, upload, str(error), place)
    log.warning("job file refused", extra={"key": upload.key, "reason": str(error)})
    held.release(held.value.model_copy(update={"state": "refused"}))
    return Outcome(state="refused", submission=upload.submission, messages=(str(error),))
