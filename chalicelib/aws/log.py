"""What every line of the log says of the work at hand: run, app, submission.

The keys belong to the thread, so that handlers that run side by side don't mix theirs. On the
command line nothing is logged as JSON, and all this does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.exceptions import OrphanedChildLoggerError

_log = Logger(service="cellfleet", child=True)


@contextmanager
def bound(**keys: str) -> Iterator[None]:
    """Lines written inside carry `keys` (empty ones left out); afterwards all is as before."""
    before = _now()
    also(**keys)
    try:
        yield
    finally:
        if before is not None:
            _log.thread_safe_clear_keys()
            _log.thread_safe_append_keys(**before)


def also(**keys: str) -> None:
    """From here to the end of the enclosing `bound`, lines carry these keys, too."""
    if _now() is not None:
        _log.thread_safe_append_keys(**{name: value for name, value in keys.items() if value})


def _now() -> dict[str, Any] | None:
    """The keys of this thread; None where nothing is logged as JSON."""
    try:
        return dict(_log.thread_safe_get_current_keys())
    except OrphanedChildLoggerError:
        return None
