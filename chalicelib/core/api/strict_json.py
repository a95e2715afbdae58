"""JSON as a request's body holds it: one meaning only, of bounded size and depth.

What JSON parsers disagree on is refused: keys that stand twice, NaN and infinity, halves of
characters.
"""

from __future__ import annotations

import json
import math
from typing import Any, Never

from chalicelib.core.jobfile_problems import show
from chalicelib.errors import InputError, Problem

BODY = "body"
_MOST_DEPTH = 30


class TooLargeError(InputError):
    """More bytes than are taken."""


def read_json(body: bytes, *, most: int) -> Any:
    """The value that a body holds. Raises InputError, TooLargeError."""
    check_size(body, most)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse("must be UTF-8", f"byte {error.start} isn't")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        _too_deep()
    except ValueError as error:
        _refuse("must be JSON", str(error))
    _check(value, 0)
    return value


def check_size(body: bytes, most: int) -> None:
    """Raises TooLargeError."""
    if len(body) > most:
        problem = Problem(
            where=BODY,
            found=f"{len(body):,} bytes",
            expected=f"must be at most {most:,} bytes",
            hint="POST /apps/{app}/uploads gives a link for larger job files",
        )
        raise TooLargeError(BODY, [problem])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(
                BODY, [Problem(where=show(key), expected="this key stands there twice")]
            )
        found[key] = value
    return found


def _no_number(text: str) -> Never:
    _refuse("must hold numbers only that JSON knows", text)


def _check(value: Any, depth: int) -> None:
    """What the parser lets pass: numbers that became infinite, halves of surrogate pairs."""
    if depth > _MOST_DEPTH:
        _too_deep()
    match value:
        case str() if not _is_text(value):
            _refuse("must hold whole characters only", show(ascii(value)))
        case float() if not math.isfinite(value):
            _refuse("must hold numbers only that a computer can keep", "a number too large")
        case dict():
            for key, inner in value.items():
                _check(key, depth + 1)
                _check(inner, depth + 1)
        case list():
            for inner in value:
                _check(inner, depth + 1)
        case _:
            pass


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep() -> Never:
    _refuse(f"must have at most {_MOST_DEPTH} levels of lists and objects", "more")


def _refuse(expected: str, found: str) -> Never:
    raise InputError(BODY, [Problem(where=BODY, found=found, expected=expected)])
