"""How many machines: worked by hand where that is possible, else what must hold for any load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.observation import Progress
from chalicelib.core.sizing import BOOT, LAUNCH, Load, load_of, machines_wanted, seconds_left
from tests.core.factories import NOW, config, machines, queue, seen, started

HOUR = 3600.0


def load(**fields: Any) -> Load:
    """50 jobs of an hour, nothing there yet, 100 machines of four slots allowed."""
    values: dict[str, Any] = {
        "jobs": 50,
        "waiting": 50,
        "job_seconds": HOUR,
        "limit": 100,
        "limit_new": 100,
        "tasks": 4,
        "cores": 1,
        "stagger": 0.0,
    }
    found = values | fields
    if "waiting" not in fields:
        found["waiting"] = found["jobs"]
    return Load(**found)


LOADS = st.builds(
    lambda jobs, held, ages, coming, draining, **rest: load(
        jobs=jobs,
        waiting=jobs - min(held, jobs),
        ages=tuple(ages),
        coming=coming,
        draining=min(draining, len(ages)),
        **rest,
    ),
    jobs=st.integers(0, 5_000),
    held=st.integers(0, 200),
    ages=st.lists(st.floats(0, 5_000), max_size=40),
    coming=st.integers(0, 40),
    draining=st.integers(0, 40),
    job_seconds=st.floats(1, 20_000),
    limit=st.integers(1, 200),
    limit_new=st.integers(1, 200),
    tasks=st.integers(1, 4),
    cores=st.integers(1, 4),
    stagger=st.sampled_from([0.0, 60.0, 180.0]),
    failures=st.booleans(),
)


# --- the first request ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "wanted"),
    [
        (0, 0),
        (1, 1),
        (4, 1),
        (5, 2),
        (50, 13),
        (400, 100),
        # There will be a second round anyway.
        (401, 61),
        (1_000_000, 100),
    ],
)
def test_slots_for_all_jobs_and_fewer_where_rounds_are_needed_anyway(
    jobs: int, wanted: int
) -> None:
    assert machines_wanted(load(jobs=jobs)) == wanted


def test_slots_that_come_late_count_for_what_they_can_still_do() -> None:
    # The fourth slot is ready nine minutes after the first. Jobs of two minutes are long over.
    late = load(tasks=1, cores=4, stagger=180.0, job_seconds=120.0)
    assert machines_wanted(late) > 25
    # To jobs of five hours, nine minutes are nothing.
    assert machines_wanted(replace(late, job_seconds=5 * HOUR)) == 13


def test_when_the_last_job_ends_by_hand() -> None:
    # 8 jobs of 100 s on two slots each of 2 machines: two rounds after launch and boot.
    two_rounds = load(jobs=8, tasks=2, job_seconds=100.0)
    assert seconds_left(two_rounds, 2) == pytest.approx(LAUNCH + BOOT + 200, abs=1)
    # One slot at BOOT, one 150 s later: starts at 0, 100, 150, 200.
    staggered = load(jobs=4, tasks=1, cores=2, stagger=150.0, job_seconds=100.0)
    assert seconds_left(staggered, 1) == pytest.approx(LAUNCH + BOOT + 300, abs=2)
    # A machine that has booted for 100 s already needs 80 more.
    booting = load(jobs=2, tasks=2, job_seconds=100.0, ages=(100.0,))
    assert seconds_left(booting, 1) == pytest.approx(BOOT - 100 + 100, abs=1)


# --- later ---------------------------------------------------------------------------------------


def test_lost_machines_are_replaced_while_the_rest_pays_for_a_boot() -> None:
    there = {"ages": (HOUR,) * 90, "tasks": 1, "job_seconds": 600.0}
    assert machines_wanted(load(jobs=5_000, waiting=4_910, **there)) == 100
    assert machines_wanted(load(jobs=95, waiting=5, **there)) == 90


def test_one_or_two_lost_machines_are_not_worth_a_request() -> None:
    there = {"tasks": 1, "job_seconds": 600.0, "jobs": 5_000}
    assert machines_wanted(load(waiting=4_903, ages=(HOUR,) * 97, **there)) == 97
    assert machines_wanted(load(waiting=4_904, ages=(HOUR,) * 96, **there)) == 100


def test_short_jobs_do_not_pay_for_a_boot_each() -> None:
    # 100 jobs of half a minute: a second round costs less than the boots that it saves.
    assert machines_wanted(load(jobs=100, tasks=1, job_seconds=30.0)) < 60
    assert machines_wanted(load(jobs=100, tasks=1, job_seconds=HOUR)) > 80


def test_while_jobs_wait_nothing_is_surplus() -> None:
    assert machines_wanted(load(jobs=40, waiting=1, ages=(HOUR,) * 40, tasks=1)) == 40


def test_more_machines_than_jobs_are() -> None:
    assert machines_wanted(load(jobs=5, ages=(0.0,) * 20, coming=20)) == 5


def test_when_nothing_waits_one_stays_until_the_busy_ones_are_known() -> None:
    tail = load(jobs=7, waiting=0, ages=(HOUR,) * 40, tasks=1)
    assert machines_wanted(tail) == 1
    # What is still draining holds a job: seven jobs on seven machines, the other one is idle.
    assert machines_wanted(replace(tail, ages=(HOUR,) * 8, draining=7)) == 0
    # Unless failed jobs may come back.
    assert machines_wanted(replace(tail, ages=(HOUR,) * 8, draining=7, failures=True)) == 1


def test_a_lower_limit_makes_surplus() -> None:
    assert machines_wanted(load(jobs=5_000, ages=(HOUR,) * 90, limit=1, limit_new=1)) == 1


def test_cheapest_keeps_what_is_there_and_starts_one_at_a_time() -> None:
    assert machines_wanted(load(jobs=5_000, ages=(HOUR,) * 90, limit_new=1)) == 90
    assert machines_wanted(load(jobs=5_000, limit_new=1)) == 1


@given(LOADS)
def test_never_more_than_allowed_nor_than_there_are_jobs(found: Load) -> None:
    wanted = machines_wanted(found)
    assert 0 <= wanted <= min(found.limit, found.jobs)
    assert wanted <= max(found.machines, found.limit_new)


@given(LOADS)
def test_what_was_wanted_is_still_wanted_once_it_is_there(found: Load) -> None:
    """No flapping: a top-up isn't followed by another, nor by surplus."""
    wanted = machines_wanted(found)
    if wanted > found.machines:
        there = replace(found, coming=found.coming + wanted - found.machines)
        assert machines_wanted(there) == wanted


@given(LOADS)
def test_some_machine_is_wanted_while_jobs_wait(found: Load) -> None:
    assert found.waiting == 0 or machines_wanted(found) > 0


# --- from what a tick sees -----------------------------------------------------------------------


def test_counts_that_lag_hide_no_work() -> None:
    settings = config()
    run = started(settings, 100)
    # The queue says that all are held, but there are slots for eight.
    sight = seen(queue=queue(visible=0, in_flight=100), instances=machines(2))
    assert load_of(run, settings, sight).waiting == 92
    # The queue has forgotten what was just sent.
    assert load_of(run, settings, seen()).waiting == 100


def test_the_users_estimate_holds_until_the_ledger_knows_better() -> None:
    settings = config(SQS_MESSAGE_VISIBILITY=900)
    run = started(settings, 100)
    assert load_of(run, settings, seen()).job_seconds == 900
    known = seen(progress=Progress(done=10, seconds=70.0, timed=10))
    assert load_of(run, settings, known).job_seconds == 70
    hardly = seen(progress=Progress(done=9, seconds=70.0, timed=9))
    assert load_of(run, settings, hardly).job_seconds == 900


def test_ages_are_counted_from_the_launch() -> None:
    settings = config()
    there = tuple(replace(machine, launched_at=NOW) for machine in machines(2))
    found = load_of(started(settings, 100), settings, seen(instances=there))
    assert found.ages == (0.0, 0.0)
