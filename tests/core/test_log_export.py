"""Logs are exported once, one task an account at a time, and never waited for without end."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.logs import ExportLogs, ForgetExports, RecordExport
from chalicelib.core.bucket_policy import export_statements, with_statements
from chalicelib.core.log_export import (
    AFTER_REFUSAL,
    ASK_AGAIN,
    GIVE_UP,
    TRIES,
    ExportView,
    TaskView,
    decide_export,
    log_groups,
    refusal_note,
    task_name,
)
from chalicelib.core.plan import Plan
from chalicelib.core.run import LogExport, Phase, RunRecord
from tests.core.factories import NOW, RUN, config, record

CONFIG = config(LOG_GROUP_NAME="logs")
JOBS, MACHINES = log_groups(CONFIG)
START = NOW - timedelta(hours=3)


def ended(**exports: LogExport) -> RunRecord:
    return record(CONFIG).model_copy(
        update={
            "phase": Phase.FINISHED,
            "created_at": START,
            "ended_at": NOW,
            "exports": {
                JOBS if key == "jobs" else MACHINES: value for key, value in exports.items()
            },
        }
    )


def task(group: str, state: str, task_id: str = "t-1", message: str = "") -> TaskView:
    return TaskView(task_id=task_id, name=task_name(RUN, group), state=state, message=message)


def view(*tasks: TaskView, minutes: float = 1, **events: bool) -> ExportView:
    has = {JOBS: events.get("jobs", True), MACHINES: events.get("machines", True)}
    busy = any(t.active for t in tasks)
    return ExportView(
        now=NOW + timedelta(minutes=minutes), tasks=tasks, has_events={} if busy else has
    )


def told(plan: Plan) -> list[tuple[str, str]]:
    return [
        (type(a).__name__, a.group if isinstance(a, ExportLogs) else a.export.state)  # type: ignore[union-attr]
        for a in plan
        if not isinstance(a, ForgetExports)
    ]


def test_one_task_is_asked_for_at_a_time_with_dcps_prefix_and_the_runs_time() -> None:
    (action,) = decide_export(ended(), CONFIG, view())
    assert action == ExportLogs(
        group="logs",
        task_name=task_name(RUN, "logs"),
        bucket="imaging-core",
        prefix="exportedlogs/logs",
        start=int(START.timestamp() * 1000),
        end=int(NOW.timestamp() * 1000) + 1,
    )


def test_somebody_elses_task_is_waited_for() -> None:
    other = TaskView(task_id="t-9", name="theirs", state="RUNNING")
    assert decide_export(ended(), CONFIG, view(other)) == ()


def test_groups_without_events_are_skipped_and_the_mark_goes_with_the_last() -> None:
    plan = decide_export(ended(), CONFIG, view(jobs=False, machines=False))
    assert told(plan) == [("RecordExport", "empty"), ("RecordExport", "empty")]
    assert plan[-1] == ForgetExports()


def test_a_task_whose_id_was_lost_is_found_by_its_name() -> None:
    waits = LogExport(group=JOBS, asked_at=NOW)
    assert decide_export(ended(jobs=waits), CONFIG, view(task(JOBS, "PENDING"))) == ()
    plan = decide_export(ended(jobs=waits), CONFIG, view(task(JOBS, "COMPLETED")))
    assert told(plan) == [("RecordExport", "done"), ("ExportLogs", MACHINES)]
    assert ForgetExports() not in plan


def test_an_answer_that_never_came_is_asked_for_again_only_after_a_while() -> None:
    waits = LogExport(group=JOBS, asked_at=NOW)
    done = LogExport(group=MACHINES, state="done")
    early = ASK_AGAIN / timedelta(minutes=1) - 0.1
    assert decide_export(ended(jobs=waits, machines=done), CONFIG, view(minutes=early)) == ()
    plan = decide_export(ended(jobs=waits, machines=done), CONFIG, view(minutes=early + 0.2))
    assert told(plan) == [("ExportLogs", JOBS)]


def test_a_refusal_is_tried_again_each_hour() -> None:
    refused = LogExport(group=JOBS, asked_at=NOW, refused_at=NOW, told="refused: no policy.")
    done = LogExport(group=MACHINES, state="empty")
    hour = AFTER_REFUSAL / timedelta(minutes=1)
    assert decide_export(ended(jobs=refused, machines=done), CONFIG, view(minutes=hour - 1)) == ()
    plan = decide_export(ended(jobs=refused, machines=done), CONFIG, view(minutes=hour + 1))
    assert told(plan) == [("ExportLogs", JOBS)]


def test_after_a_day_it_is_given_up_with_the_last_reason() -> None:
    refused = LogExport(group=JOBS, refused_at=NOW, told="refused: no policy.")
    day = GIVE_UP / timedelta(minutes=1)
    other = TaskView(task_id="t-9", name="theirs", state="RUNNING")
    for seen in (view(minutes=day + 1), view(other, minutes=day + 1)):
        plan = decide_export(ended(jobs=refused), CONFIG, seen)
        assert told(plan) == [("RecordExport", "given-up"), ("RecordExport", "given-up")]
        assert plan[-1] == ForgetExports()
        assert [a.export.told for a in plan if isinstance(a, RecordExport)] == [
            "refused: no policy.",
            "another export was always under way",
        ]


def test_failed_tasks_are_asked_for_again_but_not_for_ever() -> None:
    done = LogExport(group=MACHINES, state="done")
    failed = [task(JOBS, "FAILED", f"t-{n}", "disk full") for n in range(TRIES)]
    asked = LogExport(group=JOBS, asked_at=NOW, task_id="t-1")
    plan = decide_export(ended(jobs=asked, machines=done), CONFIG, view(*failed[:-1]))
    assert told(plan) == [("ExportLogs", JOBS)]
    plan = decide_export(ended(jobs=asked, machines=done), CONFIG, view(*failed))
    assert told(plan) == [("RecordExport", "given-up")]
    assert "disk full" in str(plan[0])


STATES = st.sampled_from(("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"))


@given(
    tasks=st.lists(st.tuples(st.sampled_from((JOBS, MACHINES, "other")), STATES), max_size=6),
    minutes=st.integers(0, 2000),
    jobs=st.booleans(),
    machines=st.booleans(),
)
def test_never_two_at_once_and_always_settled_after_a_day(
    tasks: list[tuple[str, str]], minutes: int, jobs: bool, machines: bool
) -> None:
    views = [task(group, state, f"t-{n}") for n, (group, state) in enumerate(tasks)]
    seen = view(*views, minutes=minutes, jobs=jobs, machines=machines)
    plan = decide_export(ended(), CONFIG, seen)
    asked = [action for action in plan if isinstance(action, ExportLogs)]
    assert len(asked) <= (0 if seen.busy else 1)
    ours_active = any(t.active and t.name != task_name(RUN, "other") for t in views)
    if seen.now - NOW > GIVE_UP and not ours_active:
        assert plan[-1] == ForgetExports()


def test_a_refusal_says_which_policy_is_missing() -> None:
    (action,) = decide_export(ended(), CONFIG, view())
    assert isinstance(action, ExportLogs)
    note = refusal_note(action, "No access.", region="eu-west-1", account="123456789012")
    policy = meant_policy("imaging-core", region="eu-west-1")
    assert json.dumps(policy) in note
    assert "s3://imaging-core/exportedlogs/logs" in note
    assert {s["Principal"]["Service"] for s in policy["Statement"]} == {
        "logs.eu-west-1.amazonaws.com"
    }


@pytest.mark.parametrize("length", [1, 500])
def test_task_names_of_one_run_differ_and_are_short_enough(length: int) -> None:
    names = {task_name(RUN, group) for group in ("g" * length, "g" * length + "_perInstance")}
    assert len(names) == 2
    assert all(len(name) <= 512 for name in names)


def test_the_policy_in_the_documentation_is_the_one_that_is_meant() -> None:
    text = (Path(__file__).parents[2] / "docs/monitor.md").read_text(encoding="utf-8")
    block = text.partition("```json\n")[2].partition("```")[0]
    assert json.loads(block) == meant_policy("my-bucket", region="us-east-1")


def meant_policy(bucket: str, *, region: str) -> dict[str, Any]:
    return with_statements(None, export_statements(bucket, region=region, account="123456789012"))
