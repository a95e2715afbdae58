"""Runs, reached with the user's own rights in the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.aws.services import Services
from chalicelib.core.api.answers import FailuresAnswer, RedriveAnswer, RunAnswer, RunsAnswer
from chalicelib.operations import control, run_view
from chalicelib.operations.failures import failures
from chalicelib.operations.redrive import redrive


@dataclass(frozen=True)
class Direct:
    """What `Remote` does over HTTP, done here."""

    services: Services

    def runs(self, *, app: str, live: bool, limit: int, after: str | None) -> RunsAnswer:
        return run_view.list_runs(
            self.services, app=app or None, live=live, limit=limit, after=after
        )

    def latest(self, app: str) -> str:
        return self.services.runs.latest_id(app)

    def show(self, run: str) -> RunAnswer:
        return run_view.show(self.services, run)

    def failures(
        self, run: str, *, outcome: str | None, limit: int, after: str | None
    ) -> FailuresAnswer:
        return failures(self.services, run, outcome=outcome, limit=limit, after=after)

    def scale(self, app: str, machines: int | None) -> RunAnswer:
        record = control.scale(self.services, app, machines)
        return run_view.show_record(self.services, record)

    def redrive(
        self, run: str, *, jobs: Sequence[str] | None, causes: Sequence[str] | None
    ) -> RedriveAnswer:
        sent = redrive(self.services, run, jobs=jobs, causes=causes)
        return RedriveAnswer(jobs=sum(one.jobs for one in sent), submissions=tuple(sent))
