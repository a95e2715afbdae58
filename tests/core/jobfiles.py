"""Job files for tests: made from Python values, read from memory."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from chalicelib.core import jobfile
from chalicelib.errors import JobFileError

RUN, SUBMISSION = "Fly-20240102T030405abcd", "0123456789abcdef"

HEADER = {
    "pipeline": "proj/analysis.cppipe",
    "data_file": "proj/load_data.csv",
    "input": "proj/images",
    "output": "proj/output",
}


class Slow(io.RawIOBase):
    """Bytes that come in small pieces, as from a network."""

    def __init__(self, data: bytes, piece: int):
        self._rest, self._piece = io.BytesIO(data), piece

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(min(size, self._piece))


def opener(data: bytes) -> Callable[[], Any]:
    return lambda: io.BytesIO(data)


def written(groups: Any = (), **keys: Any) -> bytes:
    """A job file; a key given as None is left out."""
    content = {**HEADER, "groups": groups, **keys}
    return json.dumps({k: v for k, v in content.items() if v is not None}).encode()


def texts(*groups: str) -> list[dict[str, str]]:
    return [{"Metadata": group} for group in groups]


def checked(data: bytes, *, check_if_done: bool = False) -> jobfile.JobFile:
    return jobfile.check(opener(data), "jobs.json", check_if_done=check_if_done)


def jobs_of(data: bytes, start: int = 0) -> list[jobfile.Job]:
    header = jobfile.read_header(opener(data), "jobs.json")
    return list(
        jobfile.iter_jobs(opener(data), header, run=RUN, submission=SUBMISSION, start=start)
    )


def refusal(data: bytes, *, check_if_done: bool = False) -> JobFileError:
    """The error that a file is refused with."""
    try:
        checked(data, check_if_done=check_if_done)
    except JobFileError as error:
        return error
    raise AssertionError("the job file was accepted")


def wheres(error: JobFileError) -> Sequence[str]:
    return [problem.where for problem in error.problems]
