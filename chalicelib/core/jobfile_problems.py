"""What is wrong with a job file: all of it counted, the first hundred kept."""

import json
from typing import Any, Never

from chalicelib.errors import JobFileError, Problem

_KEPT = 100
_SHOWN = 80


class Problems:
    """Collects the problems of one job file."""

    def __init__(self, source: str):
        self.source = source
        self.total = 0
        self._first: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Count a problem; keep it if it is one of the first hundred."""
        self.total += 1
        if len(self._first) < _KEPT:
            self._first.append(problem)

    def stop(self, problem: Problem) -> Never:
        """Add a problem that nothing can be read beyond, and raise them all."""
        self.total += 1
        self._first = [*self._first[: _KEPT - 1], problem]
        raise self._error()

    def raise_if_any(self) -> None:
        """Raise JobFileError if there was a problem."""
        if self.total:
            raise self._error()

    def _error(self) -> JobFileError:
        return JobFileError(self.source, self._first, total=self.total)


def show(value: Any) -> str:
    """A value as the user wrote it, on one line, shortened."""
    text = json.dumps(value[:_SHOWN] if isinstance(value, str) else value, default=str)
    return shorten(text)


def shorten(text: str) -> str:
    """At most 80 characters of a text."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
