"""Submissions that aren't closed: those whose process died, and those that wait for a run's end."""

from __future__ import annotations

from collections.abc import Iterator

from aws_lambda_powertools import Logger

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.errors import DeadlineError
from chalicelib.operations.submit import Outcome, Upload, submit

log = Logger(service="cellfleet", child=True)


def resume_all(services: Services, app: str = "") -> Iterator[Outcome]:
    """Go on with every pending submission (of one app) that nobody is at work on."""
    for key in services.store.list(f"{keys.PENDING}{app}/" if app else keys.PENDING):
        services.check_deadline()
        stored = services.store.read(key)
        if stored is None:
            continue
        try:
            yield submit(services, Upload.model_validate_json(stored.body))
        except DeadlineError:
            raise
        except Exception:
            log.exception("submission can't go on yet", extra={"key": key})
