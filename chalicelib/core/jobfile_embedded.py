"""The objects that a job file may carry: a config, a fleet. Bounded, and otherwise raw."""

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Any

from chalicelib.core.jobfile_problems import show
from chalicelib.core.jobfile_stream import CLOSING, OPENING, Event, JobFileStream

_MAX_EVENTS = 5_000
_MAX_DEPTH = 20


class EmbeddedError(ValueError):
    """The object can't be used; says why."""


def read_object(stream: JobFileStream) -> dict[str, Any]:
    """The object whose "start_map" has just been read; numbers become int or float.

    Keys that begin with `_comment` are left out, at any depth. Raises EmbeddedError, and
    then has read past the object nevertheless.
    """
    return _object(iter(_gather(stream)))


def _gather(stream: JobFileStream) -> list[Event]:
    gathered: list[Event] = []
    depth = 1
    while depth:
        event = next(stream.events)
        gathered.append(event)
        if event[0] in OPENING:
            depth += 1
        elif event[0] in CLOSING:
            depth -= 1
        if len(gathered) > _MAX_EVENTS or depth > _MAX_DEPTH:
            for _ in range(depth):
                stream.skip("start_map")  # the rest of the innermost
            raise EmbeddedError(f"more than {_MAX_EVENTS:,} values, or {_MAX_DEPTH} levels")
    return gathered


def _object(events: Iterator[Event]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, key in events:
        if kind == "end_map":
            break
        value = _value(*next(events), events)
        if key.startswith("_comment"):
            continue
        if key in found:
            raise EmbeddedError(f"the key {show(key)} stands there twice")
        found[key] = value
    return found


def _value(kind: str, value: Any, events: Iterator[Event]) -> Any:
    if kind == "start_map":
        return _object(events)
    if kind == "start_array":
        items = []
        for kind, value in events:
            if kind == "end_array":
                break
            items.append(_value(kind, value, events))
        return items
    if isinstance(value, Decimal):
        if not isfinite(number := float(value)):
            raise EmbeddedError(f"the number {value} is too large")
        return number
    return value
