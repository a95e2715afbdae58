"""What every operation needs, passed in as one: clients, settings, state, a clock."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from chalicelib.aws.clients import SENDERS, Clients
from chalicelib.aws.runs import Runs
from chalicelib.aws.store import Store
from chalicelib.errors import DeadlineError
from chalicelib.settings import Settings

#: What stays undone when this little time is left is left to the next tick.
MARGIN = timedelta(seconds=10)


def utc_now() -> datetime:
    return datetime.now(UTC)


def threads() -> Executor:
    """For many requests at once."""
    return ThreadPoolExecutor(SENDERS, thread_name_prefix="cellfleet")


@lru_cache(maxsize=4)
def _clients(region: str, _endpoint: str) -> Clients:
    """Kept from one invocation to the next: a client takes 50 to 170 ms to make."""
    return Clients(region)


@dataclass(frozen=True)
class Services:
    """The rim. `owner` names this process in leases; `executor` does many requests at once."""

    settings: Settings
    clients: Clients
    now: Callable[[], datetime] = utc_now
    deadline: datetime | None = None
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    executor: Callable[[], Executor] = threads

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, remaining: timedelta | None = None
    ) -> Services:
        """As the environment says; `remaining` is a Lambda's time left."""
        settings = Settings.from_environment(os.environ if environment is None else environment)
        deadline = utc_now() + remaining if remaining is not None else None
        clients = _clients(settings.region, os.environ.get("AWS_ENDPOINT_URL", ""))
        return cls(settings=settings, clients=clients, deadline=deadline)

    @property
    def store(self) -> Store:
        """The deployment bucket."""
        return Store(self.clients.s3, self.settings.bucket)

    @property
    def runs(self) -> Runs:
        return Runs(self.store)

    def within(self, share: float) -> Services:
        """The same with only a share of the time that is left: the rest is others'."""
        if self.deadline is None:
            return self
        now = self.now()
        return replace(self, deadline=now + (self.deadline - now) * share)

    def check_deadline(self, margin: timedelta = MARGIN) -> None:
        """Raises DeadlineError when less than `margin` is left: it is time to stop cleanly."""
        if self.deadline is not None and self.now() > self.deadline - margin:
            raise DeadlineError("out of time; the next tick goes on")
