"""Machines for the jobs there are: right-sized, asked for once, never waited for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.machines import RequestFleet
from chalicelib.core.fleet import REQUEST_VALID
from chalicelib.core.observation import FleetView, Progress
from chalicelib.core.run import CLOCKS_DIFFER
from chalicelib.core.start import PAUSE, decide_start, fleet_token, missing_machines
from tests.core.factories import (
    NOW,
    RUN,
    account,
    config,
    fleet,
    machines,
    queue,
    seen,
    started,
    submission,
)
from tests.core.world import MINUTE, running

# --- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "tasks", "cores", "cluster", "wanted"),
    [
        (1, 1, 4, 100, 1),
        (50, 1, 4, 100, 13),
        (10_000, 1, 4, 100, 100),
        (64, 16, 4, 3, 1),
        (65, 16, 4, 3, 2),
        (1_000, 16, 4, 3, 3),
        (3, 1, 1, 3, 3),
    ],
)
def test_as_many_as_have_work(jobs: int, tasks: int, cores: int, cluster: int, wanted: int) -> None:
    settings = config(
        CLUSTER_MACHINES=cluster,
        TASKS_PER_MACHINE=tasks,
        DOCKER_CORES=cores,
        MACHINE_TYPE=["m4.16xlarge"],
        EBS_VOL_SIZE=165,
    )
    found = decide_start(started(settings, jobs), settings, seen(account=account(settings)))
    [request] = [action for action in found if isinstance(action, RequestFleet)]
    assert request.fleet.machines == request.fleet.request["TargetCapacity"] == wanted


def test_jobs_of_all_submissions_count_also_those_still_to_be_sent() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 0, submissions={"5a": submission(6), "5b": submission(7, closed=False)})
    assert missing_machines(run, settings, seen()) == 4


def test_jobs_that_ended_do_not() -> None:
    settings = config(CLUSTER_MACHINES=100)
    found = seen(progress=Progress(done=90, dead=3))
    assert missing_machines(started(settings, 100), settings, found) == 2
    assert missing_machines(started(settings, 90), settings, found) == 0


def test_without_a_ledger_the_queue_is_counted_once_all_is_sent() -> None:
    settings = config(CLUSTER_MACHINES=100)
    left = seen(queue=queue(visible=5, in_flight=4))
    run = started(settings, 100, worker="dcp")
    assert missing_machines(run, settings, left) == 3
    sending = started(settings, 0, worker="dcp", submissions={"5a": submission(100, closed=False)})
    assert missing_machines(sending, settings, left) == 25


@pytest.mark.parametrize(
    "fields", [{"start": False}, {"queue_url": ""}, {"task_definition": ""}, {"submissions": {}}]
)
def test_none_before_they_are_asked_for_or_could_work(fields: dict[str, Any]) -> None:
    settings = config()
    run = started(settings, 100, **fields)
    assert missing_machines(run, settings, seen()) == 0
    assert decide_start(run, settings, seen(account=account(settings))) == ()


# --- asked for once ------------------------------------------------------------------------------


def test_one_tick_asks_for_all_and_the_next_for_nothing() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.tick()
    [asked] = found.record.fleets
    assert (asked.machines, asked.fleet_id) == (13, f"sfr-{asked.token}")
    assert found.record.started_at == NOW
    assert found.tick() == []
    found.pass_time()
    assert len(found.instances) == 13
    assert found.tick() == []


def test_no_second_request_while_one_is_open() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.capacity = 2
    for _ in range(29):
        found.tick()
        found.pass_time()
    assert len(found.record.fleets) == 1
    assert len(found.instances) == 2


def test_what_an_expired_request_left_open_is_asked_anew_under_the_next_token() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.capacity = 2
    found.tick()
    found.pass_time()
    found.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
    found.tick()
    first, second = found.record.fleets
    assert (first.machines, second.machines) == (13, 11)
    assert [f.token for f in (first, second)] == [fleet_token(RUN, 1), fleet_token(RUN, 2)]
    assert len({f.token for f in found.record.fleets}) == 2


@pytest.mark.parametrize("state", ["cancelled", "cancelled_running", "failed"])
def test_a_fleet_that_ended_early_is_made_good(state: str) -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, fleets=(fleet(10),))
    looks = seen(
        now=NOW + PAUSE,
        fleets=(FleetView(fleet_id="sfr-1", state=state, target=10),),
        instances=machines(4),
    )
    assert missing_machines(run, settings, looks) == 6


def test_a_fleet_that_just_failed_is_not_requested_again_at_once() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, fleets=(fleet(10),))
    failed = (FleetView(fleet_id="sfr-1", state="failed", target=10),)
    early = seen(now=NOW + PAUSE / 2, fleets=failed)
    assert missing_machines(run, settings, early) == 0


def test_more_jobs_top_up_only_what_is_missing() -> None:
    found = running(40, CLUSTER_MACHINES=100)
    found.tick()
    found.pass_time()
    found.remember(submissions={**found.record.submissions, "5b": submission(20)})
    found.tick()
    assert [f.machines for f in found.record.fleets] == [10, 5]
    found.pass_time()
    assert len(found.instances) == 15


def test_a_top_up_after_the_first_request_expired_asks_once() -> None:
    found = running(40, CLUSTER_MACHINES=100)
    found.tick()
    found.pass_time()
    found.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
    found.remember(submissions={**found.record.submissions, "5b": submission(40)})
    for _ in range(3):
        found.tick()
        found.pass_time()
    assert [f.machines for f in found.record.fleets] == [10, 10]
    assert len(found.instances) == 20


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("minutes"), st.integers(1, 45)),
        st.tuples(st.just("interrupted"), st.integers(1, 5)),
        st.tuples(st.just("more jobs"), st.integers(1, 60)),
        st.tuples(st.just("capacity"), st.integers(0, 30)),
        st.tuples(st.just("fails"), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(st.integers(1, 100), EVENTS)
def test_however_machines_come_and_go_there_are_never_too_many(
    jobs: int, events: list[tuple[str, int]]
) -> None:
    found = running(jobs, CLUSTER_MACHINES=20)
    for event, number in events:
        failing = iter(range(number if event == "fails" else 0))
        if event == "minutes":
            found.pass_time(number * MINUTE)
        elif event == "interrupted":
            for name in list(found.instances)[:number]:
                del found.instances[name]
        elif event == "more jobs":
            jobs += number
            found.remember(submissions={"5a": submission(jobs)})
        elif event == "capacity":
            found.capacity = number
        found.tick(lambda _, failing=failing: next(failing, None) is not None)  # type: ignore[misc]
        found.pass_time()
        assert len(found.instances) <= min(20, -(-jobs // 4))
    # And there are enough in the end: at most a round of jobs more than all machines would take.
    found.capacity = 1000
    for _ in range(4):
        found.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
        found.tick()
        found.pass_time()
    rounds = -(-jobs // 80) + 1
    assert -(-jobs // (4 * rounds)) <= len(found.instances) <= 20


def test_cheapest_wants_one_machine_at_a_time_after_a_quarter_of_an_hour() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, cheapest=True, started_at=NOW)

    def missing(minutes: int, there: int) -> int:
        now = NOW + minutes * MINUTE
        return missing_machines(run, settings, seen(now=now, instances=machines(there)))

    assert missing(15, 0) == 10
    assert missing(16, 0) == 1
    # Those that run are left alone.
    assert missing(16, 7) == 0
