"""How a run stands, for whoever asks: its record, and what the last tick saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chalicelib.aws.services import Services
from chalicelib.aws.store import head
from chalicelib.core import keys
from chalicelib.core.api.answers import (
    Cause,
    Dollars,
    Jobs,
    Machines,
    Pace,
    ReportAnswer,
    RunAnswer,
    RunInList,
    RunsAnswer,
    SubmissionOfRun,
)
from chalicelib.core.api.names import is_name
from chalicelib.core.causes import meaning
from chalicelib.core.config import recorded_config
from chalicelib.core.naming import app_of
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import NotFoundError, UnreadableError
from chalicelib.operations.follow import last_status
from chalicelib.operations.submissions import LINK
from chalicelib.operations.tick import Status

#: Keys that one request looks at to fill a page, 1,000 a call.
_MOST_CALLS = 20
_CALL = 1_000


def show(services: Services, run_id: str) -> RunAnswer:
    """One run. Raises NotFoundError and UnreadableError."""
    return view(services.runs.load(run_id), last_status(services, run_id))


def show_record(services: Services, record: RunRecord) -> RunAnswer:
    """The same for a record that was just read or written."""
    return view(record, last_status(services, record.run_id))


def view(record: RunRecord, status: Status | None) -> RunAnswer:
    """Record and status in one; counts of a finished run are the exact ones, if there are any."""
    seen = status or Status(run_id=record.run_id, phase=record.phase, at=record.created_at)
    config = recorded_config(record)
    result = record.result
    exact = result is not None and result.exact
    over = record.phase is Phase.FINISHED
    at_most, reason = _limit(record, config.cluster_machines)
    dead_by = result.causes if result is not None and result.causes else seen.dead_by
    return RunAnswer(
        run=record.run_id,
        app=record.app,
        phase=record.phase.value,
        outcome=record.outcome,
        created_at=record.created_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        seen_at=status.at if status else None,
        worker=record.worker,
        image=record.image,
        jobs=Jobs(
            total=record.jobs,
            waiting=None if over else seen.waiting,
            in_flight=None if over else seen.in_flight,
            done=result.done if result is not None and exact else seen.done,
            dead=result.dead if result is not None and exact else seen.dead,
            failed_tries=seen.failures,
        ),
        pace=Pace(
            per_minute=None if over else seen.per_minute,
            seconds_a_job=seen.seconds,
            expected_end=None if over else seen.expected_end,
        ),
        machines=Machines(
            there=0 if over else seen.machines,
            leaving=0 if over else seen.leaving,
            containers=0 if over else seen.containers,
            at_most=at_most,
            reason=reason,
        ),
        dollars=Dollars(
            machine_hours=seen.machine_hours,
            so_far_at_most=seen.dollars,
            an_hour_at_most=None if over else seen.dollars_an_hour,
        ),
        causes=tuple(_causes(dead_by)),
        submissions=tuple(
            SubmissionOfRun(
                submission=name,
                job_file=submission.source,
                jobs=submission.jobs,
                all_sent=submission.closed,
                output=f"s3://{config.destination_bucket}/{submission.output}",
            )
            for name, submission in record.submissions.items()
        ),
        health=seen.health or ((record.stuck,) if record.stuck else ()),
        errors=seen.errors,
        notes=record.notes,
        next_steps=seen.next_steps,
    )


def _limit(record: RunRecord, most: int) -> tuple[int, str]:
    """How many machines there may be, and why it is fewer than the configuration says."""
    least = min(most, record.machine_limit or most, record.scaled_to or most)
    if least == most:
        return most, ""
    if least == record.machine_limit:
        return least, record.limit_reason
    return least, "so many were asked for by scale"


def _causes(counts: Mapping[str, int]) -> Iterator[Cause]:
    for cause, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        means, helps = meaning(cause)
        yield Cause(cause=cause or "unknown", jobs=count, means=means, helps=helps)


def list_runs(
    services: Services, *, app: str | None, live: bool, limit: int, after: str | None
) -> RunsAnswer:
    """A page of runs in the order of their ids, that is of app and time."""
    found, following = _ids(services, app=app or "", live=live, limit=limit, after=after or "")
    with services.executor() as pool:
        runs = tuple(pool.map(lambda run_id: _in_list(services, run_id), found))
    return RunsAnswer(runs=tuple(run for run in runs if run is not None), next=following)


def _ids(
    services: Services, *, app: str, live: bool, limit: int, after: str
) -> tuple[list[str], str | None]:
    """Run ids behind `after`, at most `limit`, and where the next page begins, if there is one."""
    place = keys.LIVE if live else keys.RUNS
    prefix = f"{place}{app}-" if app else place
    # "~" comes behind everything that a run's folder holds.
    behind = f"{place}{after}" + ("" if live else "/~") if after else ""
    found: list[str] = []
    for _ in range(_MOST_CALLS):
        page, more = services.store.page(prefix, behind, _CALL, folders=not live)
        for key in page:
            run_id = key.removeprefix(place).removesuffix("/")
            if not is_name("run", run_id):
                continue
            if len(found) == limit:
                return found, after
            after = run_id
            if not app or app_of(run_id) == app:
                found.append(run_id)
        if not more:
            return found, None
        behind = page[-1] + ("" if live else "~")
    return found, after


def _in_list(services: Services, run_id: str) -> RunInList | None:
    try:
        record = services.runs.load(run_id)
    except NotFoundError:
        return None
    except UnreadableError as error:
        return RunInList(run=run_id, app=app_of(run_id), phase="unknown", problem=str(error))
    return RunInList(
        run=run_id,
        app=record.app,
        phase=record.phase.value,
        outcome=record.outcome,
        created_at=record.created_at,
        ended_at=record.ended_at,
        jobs=record.jobs,
    )


def report(services: Services, run_id: str) -> ReportAnswer:
    """A link to the run's report. Raises NotFoundError while there is none."""
    services.runs.load(run_id)
    key = keys.report(run_id)
    if head(services.clients.s3, services.settings.bucket, key) is None:
        raise NotFoundError(f"the run {run_id} has no report yet")
    return ReportAnswer(
        url=services.store.link(key, int(LINK.total_seconds())), expires_at=services.now() + LINK
    )
