"""The hourly sweep: what no live run needs is removed, what was lost is found again.

Level-triggered as a tick is: it looks at everything afresh, decides purely (`core.sweep`), and
looks at each thing and its run once more right before it removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict

from chalicelib.aws import tagged
from chalicelib.aws.clients import Clients
from chalicelib.aws.errors import AwsError
from chalicelib.aws.execute import execute
from chalicelib.aws.services import Services
from chalicelib.aws.traces import Trace, indexed, traces
from chalicelib.core import keys
from chalicelib.core.config import recorded_config
from chalicelib.core.naming import app_of
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.sweep import (
    GRACE,
    Kind,
    RunState,
    RunView,
    Verdict,
    decide_sweep,
    in_one_go,
)
from chalicelib.errors import CellFleetError, NotFoundError, UnreadableError
from chalicelib.operations.lost_files import lost_files
from chalicelib.operations.namesakes import namesakes, saved_config, turn

log = Logger(service="cellfleet", child=True)

#: An entry in the index of live runs whose record isn't written after this long won't get one
#: from the process that made it.
UNBORN = timedelta(hours=1)
_EC2 = (Kind.MACHINE, Kind.FLEET, Kind.LAUNCH_TEMPLATE)


class Memory(BaseModel):
    """What one sweep leaves for people and for the next, in `sweep.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    #: Job files that were there before the first sweep are nobody's business.
    since: datetime
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass
class Report:
    """What a sweep found and did, or (`dry_run`) would do."""

    dry_run: bool
    verdicts: list[Verdict] = field(default_factory=list)
    #: Things put in order: indices, lost job files.
    mended: list[str] = field(default_factory=list)
    #: What couldn't be looked at or done; the next sweep tries again.
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def going_on(self, what: str) -> Iterator[None]:
        """One part's trouble is told, and doesn't stop the others."""
        try:
            yield
        except (*AwsError, CellFleetError) as error:
            log.warning("a part of the sweep failed", extra={"part": what, "reason": str(error)})
            self.problems.append(f"{what}: {error}")


class Sweep:
    """One sweep of a deployment. Finished runs' things go when `grace` is over."""

    def __init__(
        self, services: Services, *, dry_run: bool, lost: bool = False, grace: timedelta = GRACE
    ):
        self.services = services
        self.lost = lost
        self.grace = grace
        self.report = Report(dry_run=dry_run)
        self._live: set[str] = set()
        self._traces: dict[str, dict[Trace, None]] = {}

    def go(self) -> Report:
        """Raises DeadlineError between two parts."""
        with self.report.going_on("the index of live runs"):
            self._mend_index()
        with self.report.going_on("the names of known apps"):
            self._look_at_names()
        for find in (traces, indexed):
            self._look_at_tags(find)
        for run_id in sorted(self._traces):
            self.services.check_deadline()
            with self.report.going_on(f"run {run_id}"):
                self._run(run_id)
        return self.report

    def go_for(self, run_id: str) -> Report:
        """The same for one run alone."""
        with self.report.going_on(f"app {app_of(run_id)}"):
            self._look_at_app(app_of(run_id))
        self._look_at_tags(traces)
        if run_id in self._traces:
            with self.report.going_on(f"run {run_id}"):
                self._run(run_id)
        return self.report

    def _look_at_tags(self, find: Callable[[Clients, str], Iterator[Trace]]) -> None:
        with self.report.going_on("things by their tags"):
            for trace in find(self.services.clients, self.services.settings.bucket):
                self._note(trace)

    def _note(self, trace: Trace) -> None:
        if trace.run_id:
            self._traces.setdefault(trace.run_id, {})[trace] = None

    def _mend(self, told: str, write: Callable[[], object]) -> None:
        self.report.mended.append(told)
        if not self.report.dry_run:
            write()

    def _mend_index(self) -> None:
        """Entries whose set-up died before it wrote the record: the next set-up writes both."""
        store, now = self.services.store, self.services.now()
        for entry in store.entries(keys.LIVE):
            run_id = entry.key.removeprefix(keys.LIVE)
            self._live.add(run_id)
            if now - entry.modified > UNBORN and store.read(keys.run_record(run_id)) is None:
                self._mend(
                    f"{run_id} has no record: taken out of the index of live runs",
                    lambda key=entry.key: store.delete(key),  # type: ignore[misc]
                )

    def _look_at_names(self) -> None:
        apps = sorted(self.services.store.folders(keys.APPS))
        hour = int(self.services.now().timestamp() // 3600)
        for app in turn(apps, hour):
            self.services.check_deadline()
            with self.report.going_on(f"app {app}"):
                self._look_at_app(app)

    def _look_at_app(self, app: str) -> None:
        """What stands under the app's names, unless its latest run is live or has just ended."""
        latest = self.services.runs.latest_id(app)
        try:
            record: RunRecord | None = self.services.runs.load(latest) if latest else None
        except (NotFoundError, UnreadableError):
            record = None
        if record is not None and record.phase is not Phase.FINISHED:
            self._index(record)
            return
        ended = record.ended_at if record is not None else None
        config = saved_config(self.services, app, record)
        if config is None or (ended is not None and self.services.now() - ended < self.grace):
            return
        verdicts = []
        for found in namesakes(self.services, config, latest):
            if isinstance(found, Trace):
                self._note(found)
            else:
                verdicts.append(found)
        self._carry_out(latest, verdicts)

    def _index(self, record: RunRecord) -> None:
        """A live run that the ticks don't see is put back into their index."""
        if record.run_id not in self._live:
            self._live.add(record.run_id)
            self._mend(
                f"{record.run_id} is live: put back into the index of live runs",
                lambda: self.services.store.put(keys.live(record.run_id), b""),
            )

    def _run(self, run_id: str) -> None:
        run = self._view(run_id)
        if run.state is RunState.LIVE and run.record is not None:
            self._index(run.record)
            return
        found = self._traces[run_id]
        clients, deployment = self.services.clients, self.services.settings.bucket
        things = [
            *(
                tagged.look_at_ec2(clients, deployment, run_id)
                if any(trace.kind in _EC2 for trace in found)
                else ()
            ),
            *tagged.look_at(clients, deployment, found),
        ]
        own = [thing for thing in things if thing.run_id == run_id]
        verdicts = decide_sweep(own, run, self.services.now(), lost=self.lost, grace=self.grace)
        self._carry_out(run_id, verdicts)

    def _carry_out(self, run_id: str, verdicts: Iterable[Verdict]) -> None:
        verdicts = tuple(verdicts)
        self.report.verdicts += verdicts
        if not self.report.dry_run:
            failures = execute(self.services, run_id, in_one_go(verdicts))
            self.report.problems += map(str, failures)

    def _view(self, run_id: str) -> RunView:
        """The run as its record says, read now."""
        busy = self._busy(run_id)
        try:
            record = self.services.runs.load(run_id)
        except NotFoundError:
            return RunView(state=RunState.MISSING, busy=busy)
        except UnreadableError:
            return RunView(state=RunState.UNREADABLE, busy=busy)
        config = recorded_config(record)
        return RunView.of(record, config, busy=busy)

    def _busy(self, run_id: str) -> bool:
        """Whether another run of the app is live, or is being born: it has the same names."""
        latest = self.services.runs.latest_id(app_of(run_id))
        if latest in ("", run_id):
            return False
        try:
            return self.services.runs.load(latest).phase is not Phase.FINISHED
        except (NotFoundError, UnreadableError):
            return True


def sweep(services: Services, *, dry_run: bool = False, lost: bool = False) -> Report:
    """Sweep the deployment; `dry_run` changes nothing. `lost`: see `core.sweep.decide_sweep`."""
    memory = _remembered(services)
    report = Sweep(services, dry_run=dry_run, lost=lost).go()
    with report.going_on("job files that nobody took"):
        for upload in lost_files(services, memory.since):
            report.mended.append(f"{upload.key} was never taken: its jobs are sent now")
            if not dry_run:  # the next tick finds the mark
                marker = keys.pending(upload.app, upload.submission)
                services.store.put(marker, upload.model_dump_json().encode())
    if not dry_run:
        services.store.put(keys.SWEEP, _memory(memory, report).model_dump_json(indent=1).encode())
    return report


def tidy(services: Services, run_id: str) -> None:
    """Remove what a process made for a run that had ended while it stood still."""
    report = Sweep(services, dry_run=False, grace=timedelta(0)).go_for(run_id)
    for verdict in report.verdicts:
        log.warning(
            "made after the run's end", extra={"what": f"{verdict.thing.kind} {verdict.thing.name}"}
        )


def _remembered(services: Services) -> Memory:
    stored, now = services.store.read(keys.SWEEP), services.now()
    fresh = Memory(at=now, since=now - timedelta(hours=1))
    if stored is None:
        return fresh
    try:
        return Memory.model_validate_json(stored.body).model_copy(update={"at": now})
    except ValueError:
        return fresh


def _memory(before: Memory, report: Report) -> Memory:
    return Memory(
        at=before.at,
        since=before.since,
        removed=tuple(f"{v.action}: {v.reason}" for v in report.verdicts if v.action is not None),
        left=tuple(
            f"{v.thing.kind} {v.thing.name}: {v.reason}"
            for v in report.verdicts
            if v.action is None
        ),
        mended=tuple(report.mended),
        problems=tuple(report.problems),
    )
