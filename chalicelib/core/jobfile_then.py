"""What a job file says of the next one: which, and how many jobs may have failed before it."""

from __future__ import annotations

import re
from fractions import Fraction

from chalicelib.core.jobfile_paths import name_fault

THEN, TOLERANCE = "then", "then_if_failed_at_most"

#: Where uploads start runs by themselves, or state is kept: no place for a next job file.
RESERVED = ("answers/", "jobs/", "submitted/", "refused/", "apps/", "live/", "runs/")

_COUNT = re.compile(r"[0-9]{1,9}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")


def then_fault(then: str) -> tuple[str, str] | None:
    """What is wrong with the name of the next job file: (what is expected, what to do)."""
    bucket, key = split(then)
    if "://" in then and not (bucket and key):
        return "expected a key, or s3://BUCKET/KEY", ""
    if fault := name_fault(key):
        return fault
    if key.startswith("/") or key.endswith("/"):
        return "expected the key of a job file in the deployment bucket", "without a / at its ends"
    if key.startswith(RESERVED):
        first = key.partition("/")[0]
        hint = f'put it elsewhere, for example under "chains/{key.rpartition("/")[2]}"'
        if first == "jobs":
            return "a file below jobs/ begins when it is uploaded, and can't be a next step", hint
        return f"{first}/ is where CellFleet keeps its own files", hint
    return None


def split(then: str) -> tuple[str, str]:
    """Bucket and key of a next job file; the bucket is "" if it isn't named."""
    scheme, found, rest = then.partition("://")
    if not found:
        return "", then
    bucket, _, key = rest.partition("/")
    return (bucket, key) if scheme.lower() == "s3" else ("", "")


def tolerance_fault(text: str) -> tuple[str, str] | None:
    """What is wrong with a number of failures, as in `then_fault`."""
    share = _SHARE.fullmatch(text)
    if _COUNT.fullmatch(text) or (share and Fraction(share[1]) <= 100):
        return None
    return "expected a number of jobs, or a share of them", 'for example 5, or "5%"'


def tolerated(text: str, jobs: int) -> int:
    """How many of so many jobs may fail; a share is rounded down, "" is none."""
    if not text:
        return 0
    share = _SHARE.fullmatch(text)
    return int(Fraction(share[1]) * jobs / 100) if share else int(text)
