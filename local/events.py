"""What EventBridge and S3 do for the Lambdas: ticks and upload events, invoked asynchronously.

A tick stands for a minute. A handler is called as Chalice registered it, with a fresh copy of
the event. One that raises is tried again twice, as Lambda does with asynchronous invocations.
"""

import json
import logging
import queue
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from chalice.app import Chalice, S3EventConfig, ScheduledEventConfig
from moto.core.models import DEFAULT_ACCOUNT_ID

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], Any], Any]

_ACCOUNT = DEFAULT_ACCOUNT_ID
_FAILURES_KEPT = 100
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}


@dataclass(frozen=True)
class LambdaContext:
    """What a handler is told about its invocation."""

    function_name: str
    aws_request_id: str
    deadline: float
    stopping: threading.Event
    memory_limit_in_mb: int = 512
    function_version: str = "$LATEST"
    invoked_function_arn: str = ""
    log_group_name: str = ""
    log_stream_name: str = ""

    def get_remaining_time_in_millis(self) -> int:
        """0 once we are stopping, so that a handler saves its cursor and ends."""
        if self.stopping.is_set():
            return 0
        return max(0, int((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True)
class Failure:
    """An event that was given up."""

    function: str
    event: str
    error: Exception


@dataclass(frozen=True)
class _Invocation:
    function: str
    event: str  # JSON
    request: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempt: int = 0


class Dispatcher:
    """Delivers events to a Chalice app's handlers on threads of its own.

    `seconds_per_tick` is how long a minute of a schedule takes: what is due each hour comes after
    sixty of them. `retry_seconds`: the pauses before the second and the third try (AWS: 60 and
    120).
    """

    def __init__(
        self,
        *,
        region: str,
        seconds_per_tick: float = 5.0,
        retry_seconds: Sequence[float] = (1.0, 2.0),
        timeout_seconds: float = 900.0,
        concurrency: int = 8,
    ):
        self.failures: deque[Failure] = deque(maxlen=_FAILURES_KEPT)
        self._region = region
        self._seconds_per_tick = seconds_per_tick
        self._retry_seconds = tuple(retry_seconds)
        self._timeout = timeout_seconds
        self._handlers: dict[str, Handler] = {}
        self._queue: queue.SimpleQueue[_Invocation | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._minutes: dict[str, float] = {}
        self._on_time = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"lambda-{number}", daemon=True)
            for number in range(concurrency)
        ]

    # --- wiring ----------------------------------------------------------------------------

    def connect(self, app: Chalice, s3: Any) -> None:
        """Take the app's handlers, notify the buckets' events to them, and plan its ticks.

        `s3` is a client; the buckets must exist.
        """
        buckets: dict[str, list[dict[str, Any]]] = {}
        for source in app.event_sources:
            if isinstance(source, S3EventConfig):
                arn = self._arn(f"{app.app_name}-local-{source.name}")
                self._handlers[arn] = app.handler_map[source.name]
                buckets.setdefault(source.bucket, []).append(_notification(source, arn))
            elif isinstance(source, ScheduledEventConfig):
                self._handlers[source.name] = app.handler_map[source.name]
                self._minutes[source.name] = minutes(source)
                thread = threading.Thread(
                    target=self._tick,
                    args=(source.name,),
                    name=f"{source.name}-rule",
                    daemon=True,
                )
                self._threads.append(thread)
        for bucket, configurations in buckets.items():
            s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={"LambdaFunctionConfigurations": configurations},
            )

    def _arn(self, function: str) -> str:
        return f"arn:aws:lambda:{self._region}:{_ACCOUNT}:function:{function}"

    def deliver(self, arn: str, event: dict[str, Any]) -> None:
        """Take note of an event for a function; returns at once."""
        self._queue.put(_Invocation(arn, json.dumps(event)))

    # --- life ------------------------------------------------------------------------------

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def dead(self) -> list[str]:
        """The names of threads that should live and don't."""
        return [thread.name for thread in self._threads if not thread.is_alive()]

    def stop(self, grace: float) -> None:
        """Take no more events; give running handlers `grace` seconds to end."""
        self._stopping.set()
        for _ in self._threads:
            self._queue.put(None)
        until = time.monotonic() + grace
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))

    # --- threads ---------------------------------------------------------------------------

    def _invocations(self) -> Iterator[_Invocation]:
        while not self._stopping.is_set():
            invocation = self._queue.get()
            if invocation is None:
                return
            yield invocation

    def _work(self) -> None:
        for invocation in self._invocations():
            self._attempt(invocation)

    def _attempt(self, invocation: _Invocation) -> None:
        try:
            self._invoke(invocation)
        except Exception as error:
            name = invocation.function.split(":")[-1]
            if invocation.attempt >= len(self._retry_seconds):
                log.exception("%s failed for good", name)
                self.failures.append(Failure(name, invocation.event, error))
                return
            pause = self._retry_seconds[invocation.attempt]
            log.warning("%s failed, again in %g s", name, pause, exc_info=True)
            again = threading.Timer(
                pause, self._queue.put, (replace(invocation, attempt=invocation.attempt + 1),)
            )
            again.daemon = True
            again.start()

    def _tick(self, function: str) -> None:
        while not self._stopping.wait(self._seconds_per_tick * self._minutes[function]):
            with self._on_time:
                try:
                    self._on_schedule(function)
                except Exception as error:
                    log.exception("%s failed; the next one comes", function)
                    self.failures.append(Failure(function, "", error))

    def _on_schedule(self, function: str) -> None:
        self._invoke(_Invocation(function, json.dumps(self._scheduled_event(function))))

    @contextmanager
    def by_hand(self) -> Iterator[Callable[[], None]]:
        """Inside, nothing comes on schedule; the value is a function that makes a minute pass:
        what is due each minute is invoked once, and may raise. For tests that count ticks."""

        def tick() -> None:
            for function, minutes_between in self._minutes.items():
                if minutes_between == 1:
                    self._on_schedule(function)

        with self._on_time:
            yield tick

    def _invoke(self, invocation: _Invocation) -> None:
        handler = self._handlers.get(invocation.function)
        if handler is None:
            log.error("no function %s for an event", invocation.function)
            return
        context = LambdaContext(
            function_name=invocation.function.split(":")[-1],
            aws_request_id=invocation.request,
            deadline=time.monotonic() + self._timeout,
            stopping=self._stopping,
            invoked_function_arn=invocation.function,
        )
        handler(json.loads(invocation.event), context)

    def _scheduled_event(self, function: str) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": _ACCOUNT,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [f"arn:aws:events:{self._region}:{_ACCOUNT}:rule/{function}"],
            "detail": {},
        }


def minutes(source: ScheduledEventConfig) -> float:
    """Minutes between two events of a schedule such as `rate(1 hour)`."""
    rate = _RATE.fullmatch(str(source.schedule_expression))
    if rate is None:
        raise ValueError(
            f"{source.name}: only rates can be kept here, not {source.schedule_expression}"
        )
    return int(rate[1]) * _MINUTES[rate[2]]


def _notification(source: S3EventConfig, arn: str) -> dict[str, Any]:
    rules = [
        # S3 takes any case, moto lower case only.
        {"Name": name, "Value": value}
        for name, value in (("prefix", source.prefix), ("suffix", source.suffix))
        if value
    ]
    configuration: dict[str, Any] = {"LambdaFunctionArn": arn, "Events": list(source.events)}
    if rules:
        configuration["Filter"] = {"Key": {"FilterRules": rules}}
    return configuration
