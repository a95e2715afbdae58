"""When a run is over, and the way from open to finished."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.machines import RequestFleet
from chalicelib.core.actions.record import ChangePhase
from chalicelib.core.decide import decide, is_over
from chalicelib.core.fleet import REQUEST_VALID
from chalicelib.core.observation import Observation, Progress
from chalicelib.core.run import CLOCKS_DIFFER, COMPLETE, STOPPED, Phase, Result, RunRecord
from tests.core.factories import NOW, config, queue, record, seen, submission, unborn
from tests.core.world import World

SUBMISSIONS = st.dictionaries(
    st.sampled_from(["5a", "5b", "5c"]),
    st.builds(submission, st.integers(0, 5), closed=st.booleans()),
)
PROGRESS = st.builds(
    Progress,
    done=st.integers(0, 15),
    dead=st.integers(0, 5),
    exact=st.booleans(),
    ended=st.dictionaries(st.sampled_from(["5a", "5b", "5c", "5d"]), st.integers(0, 6)),
)
SIGHTS = st.builds(
    seen,
    progress=PROGRESS,
    queue=st.none() | st.builds(queue, visible=st.integers(0, 2), in_flight=st.integers(0, 2)),
    empty_since=st.none() | st.integers(0, 300).map(lambda s: NOW - timedelta(seconds=s)),
    empty_readings=st.integers(0, 8),
)


def run(**fields: Any) -> RunRecord:
    return record(**({"submissions": {"5a": submission(3)}} | fields))


def ledger(ended: int, *, exact: bool = True) -> Observation:
    return seen(progress=Progress(done=ended, exact=exact, ended={"5a": ended} if exact else {}))


def empty(readings: int, over: timedelta) -> Observation:
    return seen(empty_since=NOW - over, empty_readings=readings)


# --- over ----------------------------------------------------------------------------------------


@given(SUBMISSIONS, SIGHTS)
def test_over_means_closed_exact_and_every_job_ended(
    submissions: dict[str, Any], sight: Observation
) -> None:
    expected = (
        len(submissions) > 0
        and all(found.closed for found in submissions.values())
        and sight.progress.exact
        and all(
            sight.progress.ended.get(name, 0) >= found.jobs for name, found in submissions.items()
        )
    )
    assert is_over(run(submissions=submissions), sight) == expected


@given(SUBMISSIONS, SIGHTS)
def test_without_a_ledger_over_means_empty_again_and_again(
    submissions: dict[str, Any], sight: Observation
) -> None:
    expected = (
        len(submissions) > 0
        and all(found.closed for found in submissions.values())
        and sight.empty_readings >= 5
        and sight.empty_since is not None
        and sight.now - sight.empty_since >= timedelta(minutes=3)
    )
    assert is_over(run(submissions=submissions, worker="dcp"), sight) == expected


@pytest.mark.parametrize(
    ("sight", "over"),
    [
        (empty(5, timedelta(minutes=3)), True),
        (empty(5, timedelta(minutes=2, seconds=59)), False),
        (empty(4, timedelta(hours=1)), False),
        (ledger(3), False),
        (seen(), False),
    ],
)
def test_a_dcp_run_needs_five_empty_readings_over_three_minutes(
    sight: Observation, over: bool
) -> None:
    assert is_over(run(worker="dcp"), sight) is over


@pytest.mark.parametrize(
    ("sight", "over"),
    [
        (ledger(3), True),
        (ledger(2), False),
        # Counts of a partial listing, or of a queue, may be wrong.
        (ledger(3, exact=False), False),
        (empty(9, timedelta(hours=1)), False),
    ],
)
def test_a_cellfleet_run_needs_the_whole_ledger(sight: Observation, over: bool) -> None:
    assert is_over(run(), sight) is over


def test_one_submissions_surplus_does_not_make_up_for_anothers_gap() -> None:
    two = run(submissions={"5a": submission(3), "5b": submission(3)})
    progress = Progress(done=6, exact=True, ended={"5a": 6})
    assert not is_over(two, seen(progress=progress))


# --- phases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auto", "monitored", "ends"),
    [("True", False, True), ("False", True, True), ("False", False, False)],
)
def test_only_a_watched_run_ends_by_itself(auto: str, monitored: bool, ends: bool) -> None:
    settings = config(AUTO_MONITOR=auto)
    found = decide(run(monitored=monitored), settings, ledger(3))
    ending = (ChangePhase(phase=Phase.ENDING, outcome=COMPLETE),)
    assert found == (ending if ends else ())


def test_a_run_without_a_submission_stays_open() -> None:
    assert decide(run(submissions={}), config(), ledger(0)) == ()


def test_ending_goes_on_to_teardown_if_nothing_came_in_between() -> None:
    ending = run(phase=Phase.ENDING, outcome=COMPLETE)
    assert decide(ending, config(), ledger(3)) == (
        ChangePhase(
            phase=Phase.TEARING_DOWN,
            outcome=COMPLETE,
            result=Result(at=NOW, done=3, exact=True),
        ),
    )


def test_a_submission_turns_an_ending_run_back() -> None:
    submissions = {"5a": submission(3), "5b": submission(1, closed=False)}
    ending = run(phase=Phase.ENDING, outcome=COMPLETE, submissions=submissions)
    assert decide(ending, config(), ledger(3)) == (ChangePhase(phase=Phase.OPEN),)


@given(SUBMISSIONS, SIGHTS)
def test_a_stopped_run_ends_whatever_is_left(
    submissions: dict[str, Any], sight: Observation
) -> None:
    stopped = run(phase=Phase.ENDING, outcome=STOPPED, submissions=submissions)
    (change,) = decide(stopped, config(), sight)
    assert isinstance(change, ChangePhase)
    assert (change.phase, change.outcome) == (Phase.TEARING_DOWN, STOPPED)
    assert change.result is not None
    assert not change.result.exact


@given(SUBMISSIONS, SIGHTS)
def test_a_finished_run_does_nothing(submissions: dict[str, Any], sight: Observation) -> None:
    assert decide(run(phase=Phase.FINISHED, submissions=submissions), config(), sight) == ()


@given(st.sampled_from(list(Phase)), SUBMISSIONS, SIGHTS, st.sampled_from(["cellfleet", "dcp"]))
def test_phases_follow_each_other_in_the_allowed_order(
    phase: Phase, submissions: dict[str, Any], sight: Observation, worker: str
) -> None:
    found = run(phase=phase, submissions=submissions, worker=worker, start=True)
    order = {
        Phase.OPEN: {Phase.ENDING},
        Phase.ENDING: {Phase.OPEN, Phase.TEARING_DOWN},
        Phase.TEARING_DOWN: {Phase.FINISHED},
        Phase.FINISHED: set(),
    }
    plan = decide(found, config(), sight)
    changes = {action.phase for action in plan if isinstance(action, ChangePhase)}
    assert changes <= order[phase]
    # A change of phase stands alone: the next look decides what follows.
    assert not changes or len(plan) == 1


@given(st.sampled_from([Phase.ENDING, Phase.TEARING_DOWN, Phase.FINISHED]), SUBMISSIONS, SIGHTS)
def test_no_machine_is_asked_for_once_the_end_has_begun(
    phase: Phase, submissions: dict[str, Any], sight: Observation
) -> None:
    found = run(phase=phase, submissions=submissions, start=True)
    assert not [a for a in decide(found, config(), sight) if isinstance(a, RequestFleet)]


# --- a whole life --------------------------------------------------------------------------------


@pytest.mark.parametrize("worker", ["cellfleet", "dcp"])
def test_from_set_up_to_nothing(worker: str) -> None:
    settings = config(ECS_CLUSTER="imaging", CREATE_DASHBOARD="True", CLEAN_DASHBOARD="True")
    world = World(record=unborn(settings, worker=worker), config=settings)
    world.set_up()
    assert world.queue is not None
    world.queue = replace(world.queue, visible=10)
    world.remember(start=True, submissions={"5a": submission(10)})
    world.tick()
    world.pass_time()
    world.tick()
    assert len(world.instances) == 3
    assert world.service is not None
    assert world.service.desired == 3
    # DCP's workers make an alarm for each machine.
    assert len(world.alarms) == (3 if worker == "dcp" else 0)

    # The jobs are done; the queue is empty again and again.
    world.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
    world.queue = replace(world.queue, visible=0)
    world.progress = Progress(done=10, exact=True, ended={"5a": 10})
    world.empty_since, world.empty_readings = world.now - timedelta(minutes=4), 5
    phases = [world.record.phase]
    for _ in range(20):
        world.tick()
        if world.record.phase is not phases[-1]:
            phases.append(world.record.phase)
        world.pass_time()
    assert (phases[0], phases[-1]) == (Phase.OPEN, Phase.FINISHED)
    assert world.record.outcome == COMPLETE
    assert world.remains() == []
    assert [world.queue, world.service, world.cluster] == [None] * 3
    assert world.dead_letter is not None
    assert world.log_groups == {"Screen": 60, "Screen_perInstance": 60}
    assert list(world.files) == ["imaging-core/ecsconfigs/Screen_ecs.config"]


def test_more_jobs_in_the_middle_of_the_end_bring_the_run_back() -> None:
    settings = config()
    world = World(record=unborn(settings), config=settings)
    world.set_up()
    world.remember(start=True, submissions={"5a": submission(10)})
    world.tick()
    world.pass_time()
    world.progress = Progress(done=10, exact=True, ended={"5a": 10})
    world.tick(rounds=1)
    assert [str(action) for action in world.history[-1:]] == ["the run is ending (complete)"]
    world.remember(submissions={**world.record.submissions, "5b": submission(90)})
    world.tick()
    assert world.record.phase is Phase.OPEN
    assert world.record.outcome == ""
    world.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
    world.tick()
    world.pass_time()
    assert world.queue is not None
    assert len(world.instances) == 3
