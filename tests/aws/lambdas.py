"""The Lambda functions as AWS would invoke them, their calls written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from chalicelib.core.api.request import ApiRequest
from chalicelib.core.run import Phase
from chalicelib.handlers.http import answer
from chalicelib.handlers.monitor import tick as handle_tick
from chalicelib.handlers.submit import on_job_file as handle_job_file
from chalicelib.handlers.sweep import sweep as handle_sweep
from tests.aws.conftest import World
from tests.aws.permissions import (
    Calls,
)
from tests.aws.test_submit import event


class Lambdas:
    """The functions as AWS would invoke them, their calls written down."""

    def __init__(self, world: World, calls: Calls):
        self.world = world
        self.calls = calls

    def on_job_file(self, app: str, body: Any, name: str = "plate") -> str:
        """A job file is uploaded; the run's id."""
        key = f"jobs/{app}/{name}.json"
        sent = event(key, self.world.put(key, body))
        with self.calls.of("on_job_file"):
            (outcome,) = handle_job_file(self.world.process(), sent)
        return outcome.run_id

    def tick(self, minutes: int = 1) -> None:
        self.world.clock.advance(minutes=minutes)
        with self.calls.of("tick"):
            handle_tick(self.world.process("tick"))

    def sweep(self, hours: int = 1) -> None:
        self.world.clock.advance(hours=hours)
        with self.calls.of("sweep"):
            handle_sweep(self.world.process("sweep"))

    def phase(self, run_id: str) -> Phase:
        return self.world.process().runs.load(run_id).phase

    def remember(self, run_id: str, **fields: Any) -> None:
        """Set fields of the record, as users and earlier ticks do."""
        self.world.process().runs.change(run_id, lambda found: found.model_copy(update=fields))


class Requests(Lambdas):
    """Job files come over HTTP."""

    def on_job_file(self, app: str, body: Any, name: str = "plate") -> str:
        query = {"name": [name]}
        return str(self.ask("submit_jobs", body, query, app=app).get("run", ""))

    def ask(
        self, route: str, body: Any = None, query: Any = None, **path: str
    ) -> Mapping[str, Any]:
        """A request; the body of its answer."""
        request = ApiRequest(
            path=path,
            query=query or {},
            headers={"idempotency-key": uuid4().hex},
            body=b"" if body is None else json.dumps(body).encode(),
        )
        with self.calls.of("api_handler"):
            return answer(self.world.process("api"), route, request).body
