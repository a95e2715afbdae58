"""What is wrong with a job file: all of it counted, the first hundred kept."""

import json
from typing import Never

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
        self.raise_all()

    def raise_all(self) -> Never:
        """Raise the JobFileError that tells them all."""
        raise JobFileError(self.source, self._first, total=self.total)


def show(text: str) -> str:
    """A text as it stands in the file: quoted, on one line, shortened."""
    return shorten(json.dumps(text[:_SHOWN], ensure_ascii=False))


def shorten(text: str) -> str:
    """At most 80 characters of a text."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
