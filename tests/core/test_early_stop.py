"""Everything fails alike: one machine goes on, and the user is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contract import CRASH, MEMORY, PIPELINE
from chalicelib.core.actions.record import Note, Remember
from chalicelib.core.decide import decide
from chalicelib.core.early_stop import decide_early_stop, lift
from chalicelib.core.observation import FirstOutcome, Observation, Progress
from chalicelib.core.plan import Plan
from chalicelib.core.run import EarlyStop, RunRecord
from chalicelib.core.start import missing_machines
from tests.core.factories import config, queue, seen, started


def ended(*causes: str, done: int = 0) -> Observation:
    """A look after these first outcomes."""
    first = tuple(FirstOutcome(job=f"5a.{n:04x}", cause=cause) for n, cause in enumerate(causes))
    failures = sum(bool(cause) for cause in causes)
    progress = Progress(first=first, done=done or causes.count(""), failures=failures)
    return seen(progress=progress, queue=queue(visible=50))


def run(jobs: int = 100, **fields: Any) -> RunRecord:
    return started(config(), jobs, **fields)


def decided(found: RunRecord, sight: Observation, **keys: Any) -> Plan:
    return decide_early_stop(found, config(**keys), sight)


def after(found: RunRecord, plan: Plan) -> RunRecord:
    for action in plan:
        if isinstance(action, Remember):
            found = found.model_copy(update=dict(action.fields))
        elif isinstance(action, Note):
            found = found.with_note(action.text)
    return found


def test_ten_failures_alike_leave_one_machine_and_say_why() -> None:
    found = after(run(), decided(run(), ended(*[CRASH] * 10)))
    assert (found.machine_limit, found.early_stop) == (1, EarlyStop.LIMITED)
    assert "first 10 jobs" in found.limit_reason
    assert "crash" in found.limit_reason
    assert found.limit_reason in found.notes
    assert missing_machines(found, config(CLUSTER_MACHINES=50), ended(*[CRASH] * 10)) == 1
    assert RunRecord.from_json(found.to_json()) == found


CAUSES = st.sampled_from(["", CRASH, MEMORY, PIPELINE])


@given(
    st.lists(CAUSES, max_size=30),
    st.integers(0, 20),
    st.integers(0, 20),
    st.booleans(),
)
def test_it_stops_for_the_first_outcomes_alone(
    causes: list[str], after_jobs: int, jobs: int, succeeded: bool
) -> None:
    """Only when enough jobs ended, all of them badly and alike, and none has ended well."""
    sight = ended(*causes, done=int(succeeded))
    enough = min(after_jobs, jobs)
    alike = len(causes) >= enough > 0 and len(set(causes[:enough])) == 1
    expected = alike and causes[0] != "" and not succeeded and "" not in causes
    stopped = bool(decided(run(jobs), sight, EARLY_STOP_AFTER=after_jobs))
    assert stopped == expected


@pytest.mark.parametrize("causes", [[CRASH] * 9, [CRASH] * 9 + [MEMORY], [""] + [CRASH] * 20])
def test_fewer_mixed_or_mended_failures_stop_nothing(causes: list[str]) -> None:
    assert decided(run(), ended(*causes)) == ()


def test_a_small_run_is_judged_by_all_its_jobs() -> None:
    assert decided(run(3), ended(CRASH, CRASH)) == ()
    assert decided(run(3), ended(CRASH, CRASH, CRASH))


def test_a_success_brings_the_machines_back_for_good() -> None:
    found = after(run(), decided(run(), ended(*[CRASH] * 10)))
    later = after(found, decided(found, ended(*[CRASH] * 10, done=1)))
    assert (later.machine_limit, later.limit_reason) == (None, "")
    assert decided(later, ended(*[CRASH] * 10)) == ()


def test_the_user_may_overrule_it() -> None:
    found = after(run(), decided(run(), ended(*[CRASH] * 10)))
    overruled = found.model_copy(update=lift(found))
    assert overruled.machine_limit is None
    assert decided(overruled, ended(*[CRASH] * 10)) == ()
    assert lift(run()) == {}


def test_a_limit_that_somebody_else_set_is_left_alone() -> None:
    found = run(machine_limit=5, limit_reason="asked for")
    assert decided(found, ended("")) == ()
    assert lift(found) == {}


def test_a_run_that_nobody_watches_is_left_alone() -> None:
    keys = {"AUTO_MONITOR": "False"}
    assert decided(run(), ended(*[CRASH] * 10), **keys) == ()
    assert decided(run(monitored=True), ended(*[CRASH] * 10), **keys)


def test_a_tick_of_an_open_run_looks_for_it() -> None:
    plan = decide(run(), config(), ended(*[CRASH] * 10))
    assert any(isinstance(action, Remember) and "machine_limit" in action.fields for action in plan)
