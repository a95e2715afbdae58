"""What people are told: which notice when, and in words that help."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contract import CAUSES, INPUT, MEMORY
from chalicelib.core.actions.record import Notify
from chalicelib.core.causes import MEANINGS
from chalicelib.core.notices import decide_notices, notice
from chalicelib.core.run import COMPLETE, STOPPED, Phase, Result, RunRecord
from tests.core.factories import NOW, RUN, config, record, seen, submission

TOPIC = "arn:aws:sns:us-east-1:123456789012:lab"
DONE = Result(at=NOW + timedelta(hours=2, minutes=5), done=96, exact=True)
FAILED = DONE.model_copy(update={"done": 88, "dead": 8, "causes": {INPUT: 2, MEMORY: 6}})


def run(**fields: Any) -> RunRecord:
    jobs = submission(96).model_copy(update={"output": "screen/output"})
    return record(**({"topic": TOPIC, "submissions": {"5a": jobs}} | fields))


def ended(result: Result, **fields: Any) -> Notify:
    found = run(**({"phase": Phase.TEARING_DOWN, "outcome": COMPLETE, "result": result} | fields))
    (told,) = decide_notices(found, config(), seen())
    assert isinstance(told, Notify)
    assert told.kind == "ended"
    return told


def test_a_run_that_went_well_is_told_with_its_results_and_nothing_to_do() -> None:
    told = ended(DONE)
    assert told.subject == "Screen: all 96 jobs done"
    assert f"The run {RUN} has ended. 96 of 96 jobs are done, 0 failed." in told.body
    assert "began 2024-03-01 09:30 UTC and ended 2024-03-01 11:35 UTC (2 h 5 min)" in told.body
    assert "Results: s3://imaging-core/screen/output" in told.body
    assert "log group Screen" in told.body
    assert "user_DeadMessages" not in told.body
    assert "send the job file again" not in told.body


def test_failures_are_told_by_cause_with_what_helps() -> None:
    told = ended(FAILED)
    assert told.subject == "Screen: 8 of 96 jobs failed"
    lines = told.body.splitlines()
    memory = next(n for n, line in enumerate(lines) if line.startswith("  6 x memory:"))
    assert "raise MEMORY" in lines[memory]
    assert lines[memory + 1].startswith("  2 x input:")
    assert f"s3://imaging-core-cellfleet/runs/{RUN}/ledger/" in told.body
    assert "queue user_DeadMessages" in told.body
    assert "send the job file again" in told.body


def test_a_stopped_run_says_so() -> None:
    told = ended(FAILED, outcome=STOPPED)
    assert told.subject == "Screen: stopped, 88 of 96 jobs done"
    assert "was stopped" in told.body


def test_dcps_workers_tell_no_counts() -> None:
    told = ended(DONE.model_copy(update={"done": 0, "exact": False}), worker="dcp")
    assert told.subject == "Screen: the queue is empty, 96 jobs were sent"
    assert "0 of" not in told.body
    assert "user_DeadMessages" in told.body


def test_a_run_that_fails_alike_and_one_that_is_stuck_are_told() -> None:
    found = run(
        machine_limit=1, limit_reason="The first 10 jobs all failed: input.", stuck="No AMI."
    )
    early, stuck = decide_notices(found, config(), seen())
    assert isinstance(early, Notify)
    assert isinstance(stuck, Notify)
    assert (early.kind, stuck.kind) == ("early-stop", "stuck")
    assert "The first 10 jobs all failed: input." in early.body
    assert "No AMI." in stuck.body
    assert "startCluster" in stuck.body


@pytest.mark.parametrize("fields", [{"topic": ""}, {"notified": ("early-stop", "stuck", "ended")}])
@pytest.mark.parametrize("phase", list(Phase))
def test_nothing_is_told_twice_or_to_nobody(fields: dict[str, Any], phase: Phase) -> None:
    found = run(phase=phase, limit_reason="x", stuck="x", result=FAILED, **fields)
    assert decide_notices(found, config(), seen()) == ()


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_notice_is_one_that_sns_takes(subject: str, body: str) -> None:
    told = notice("ended", f"App: {subject}", body)
    assert told.subject.isascii()
    assert told.subject.isprintable()
    assert 0 < len(told.subject) < 100


def test_every_cause_is_explained() -> None:
    assert set(MEANINGS) == CAUSES
