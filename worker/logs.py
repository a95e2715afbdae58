"""A job's log: CloudWatch, in the stream that DCP's users know, and standard output."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Callable

from botocore.exceptions import ClientError

from worker.failures import error_code

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

_FLUSH_SECONDS = 5.0
# CloudWatch: at most 10,000 events and 1 MiB a batch, 26 bytes counted for each event.
_BATCH_EVENTS = 5_000
_BATCH_BYTES = 900_000
_EVENT_OVERHEAD = 26
_LINE_CHARACTERS = 8_000
_KEPT_LINES = 50_000


def stream_name(text: str) -> str:
    """A name that CloudWatch accepts."""
    return re.sub(r"[:*]", "_", text)[:512] or "job"


class JobLog:
    """The log of one job, sent in the background. Failing to log never fails a job."""

    def __init__(
        self,
        logs: CloudWatchLogsClient | None,
        group: str,
        stream: str,
        now: Callable[[], float] = time.time,
    ):
        self._logs = logs if group else None
        self._group = group
        self.stream = stream_name(stream)
        self._now = now
        self._lines: deque[InputLogEventTypeDef] = deque(maxlen=_KEPT_LINES)
        self._created = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def __enter__(self) -> JobLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def write(self, line: str) -> None:
        """Log one line."""
        print(line, flush=True)
        if self._logs:
            self._lines.append(
                {"timestamp": int(self._now() * 1000), "message": line[:_LINE_CHARACTERS] or " "}
            )

    def flush(self) -> None:
        """Send what has been written so far."""
        try:
            while self._lines and self._logs:
                self._create(self._logs)
                self._logs.put_log_events(
                    logGroupName=self._group, logStreamName=self.stream, logEvents=self._batch()
                )
        except Exception as error:
            print("The log of %s couldn't be sent: %s" % (self.stream, error), flush=True)

    def _run(self) -> None:
        while not self._over.wait(_FLUSH_SECONDS):
            self.flush()
        self.flush()

    def _create(self, logs: CloudWatchLogsClient) -> None:
        if self._created:
            return
        try:
            logs.create_log_stream(logGroupName=self._group, logStreamName=self.stream)
        except ClientError as error:
            if error_code(error) != "ResourceAlreadyExistsException":
                raise
        self._created = True

    def _batch(self) -> list[InputLogEventTypeDef]:
        batch: list[InputLogEventTypeDef] = []
        size = 0
        while self._lines and len(batch) < _BATCH_EVENTS and size < _BATCH_BYTES:
            event = self._lines.popleft()
            size += len(event["message"].encode("utf-8", "replace")) + _EVENT_OVERHEAD
            batch.append(event)
        # Two threads write; CloudWatch wants the order of time.
        return sorted(batch, key=lambda event: event["timestamp"])
