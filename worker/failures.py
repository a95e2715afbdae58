"""Why a job didn't end well: it failed (with a cause), or it was taken from us (with a reason)."""

from __future__ import annotations

import errno
from typing import Callable

from botocore.exceptions import ClientError

from chalicelib import contract

INTERRUPTED = "interrupted"  # asked to stop: the job goes to another worker
LEASE_LOST = "lease lost"  # somebody else may be working on it
RUN_STOPPED = "run stopped"  # the queue is gone

#: Raises `Cancelled` when the job in hand has to be dropped; called between steps.
Check = Callable[[], None]


class JobFailure(Exception):
    """The job failed. `cause` is one of contract.CAUSES, `sentence` is for the user."""

    def __init__(self, cause: str, sentence: str):
        super().__init__(sentence)
        self.cause = cause
        self.sentence = sentence


class Cancelled(Exception):
    """The job has to be dropped, through no fault of its own."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def error_code(error: ClientError) -> str:
    """The code in an AWS error answer, for example `NoSuchKey` or `404`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: BaseException, doing: str, otherwise: str) -> JobFailure:
    """The failure that an exception stands for; `otherwise` is the cause when nothing tells it."""
    if isinstance(error, JobFailure):
        return error
    if isinstance(error, ClientError) and error_code(error) in ("AccessDenied", "403"):
        return JobFailure(contract.PERMISSION, "AWS refused access while %s: %s" % (doing, error))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return JobFailure(contract.DISK, "The disk is full while %s" % doing)
    if isinstance(error, MemoryError):
        return JobFailure(contract.MEMORY, "The worker ran out of memory while %s" % doing)
    return JobFailure(otherwise, "%s: %s while %s" % (type(error).__name__, error, doing))
