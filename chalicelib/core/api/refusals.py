"""Errors as answers: which status, and what there is to say."""

from __future__ import annotations

from chalicelib.core.api.answers import ErrorAnswer, ProblemAnswer
from chalicelib.core.api.request import Answer
from chalicelib.core.api.strict_json import TooLargeError
from chalicelib.errors import (
    CellFleetError,
    ConflictError,
    DeadlineError,
    InputError,
    LeaseLostError,
    NotFoundError,
    NotReadyError,
    UnreadableError,
)


class KeyUsedError(CellFleetError):
    """An idempotency key came again with another request."""


#: The first that fits counts.
_STATUS: tuple[tuple[type[CellFleetError], int, str], ...] = (
    (TooLargeError, 413, "too-large"),
    (InputError, 400, "bad-request"),
    (NotFoundError, 404, "not-found"),
    (KeyUsedError, 422, "key-used"),
    (NotReadyError, 409, "not-ready"),
    (LeaseLostError, 409, "not-ready"),
    (ConflictError, 409, "conflict"),
    (UnreadableError, 409, "unreadable"),
    (DeadlineError, 503, "out-of-time"),
)
#: What AWS refused, or broke off.
_ELSE = 502, "aws"


def refuse(error: CellFleetError) -> Answer:
    """The answer for an error that was raised on purpose."""
    status, word = next(
        ((status, word) for kind, status, word in _STATUS if isinstance(error, kind)), _ELSE
    )
    if isinstance(error, InputError):
        return _answer(
            status,
            word,
            f"{error.what}: {error.total} problem{'s' if error.total != 1 else ''}",
            tuple(
                ProblemAnswer(where=p.where, expected=p.expected, found=p.found, hint=p.hint)
                for p in error.problems
            ),
            error.total,
        )
    return _answer(status, word, str(error))


def aws_refused(error: Exception) -> Answer:
    """The answer for an error that AWS, or the way to it, raised."""
    return _answer(*_ELSE, f"AWS: {error}")


def _answer(
    status: int,
    word: str,
    message: str,
    problems: tuple[ProblemAnswer, ...] = (),
    total: int = 0,
) -> Answer:
    told = ErrorAnswer(error=word, message=message, problems=problems, problems_in_all=total)
    return Answer.of(told, status)
