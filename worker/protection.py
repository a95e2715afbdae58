"""Asks ECS not to stop this task while it holds jobs."""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from http.client import HTTPException
from typing import Callable, Iterator

_MINUTES = 60
_RENEW_SECONDS = 20 * 60.0
_TIMEOUT_SECONDS = 5.0


class Protection:
    """Task protection, on while at least one slot holds a job. Without an ECS agent, nothing.

    A refusal is said once and changes nothing: protection spares work, it isn't needed for
    correctness.
    """

    def __init__(self, agent_uri: str, clock: Callable[[], float]):
        self._url = agent_uri and agent_uri.rstrip("/") + "/task-protection/v1/state"
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs = 0
        self._asked = 0.0
        self._complained = False

    @contextmanager
    def job(self) -> Iterator[None]:
        """Protected inside the `with`."""
        with self._lock:
            self._jobs += 1
            if self._jobs == 1:
                self._ask(True)
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1
                if not self._jobs:
                    self._ask(False)

    def renew(self) -> None:
        """Protection expires; called at every heartbeat."""
        with self._lock:
            if self._jobs and self._clock() - self._asked > _RENEW_SECONDS:
                self._ask(True)

    def _ask(self, enabled: bool) -> None:
        if not self._url:
            return
        self._asked = self._clock()
        state = {
            "ProtectionEnabled": enabled,
            **({"ExpiresInMinutes": _MINUTES} if enabled else {}),
        }
        request = urllib.request.Request(
            self._url,
            data=json.dumps(state).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
                pass
        except (OSError, HTTPException) as error:
            if not self._complained:
                print("ECS didn't protect this task: %s" % error, flush=True)
            self._complained = True
