"""Counting the ledger's entries: the same whenever a tick cuts them in two, and bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contract import (
    CRASH,
    DEAD,
    DONE,
    FAILED,
    INTERRUPTED,
    LOST,
    MEMORY,
    SKIPPED,
    LedgerEntry,
)
from chalicelib.core.job_times import add_times, robust_mean, time_class
from chalicelib.core.tally import FIRST, Count, Tally, progress
from tests.core.factories import NOW, RUN


def entry(
    job: int, outcome: str, cause: str = "", seconds: int = 60, minute: int = 0
) -> LedgerEntry:
    return LedgerEntry(
        run=RUN,
        minute=f"{NOW + timedelta(minutes=minute):%Y%m%dT%H%M}",
        submission="5a",
        job=f"{job:04x}",
        attempt=1,
        outcome=outcome,
        cause=cause,
        seconds=seconds,
    )


def count(*entries: LedgerEntry) -> Count:
    counted = Count()
    for each in entries:
        counted.add(each)
    return counted


ENTRIES = st.lists(
    st.builds(
        entry,
        st.integers(0, 300),
        st.sampled_from([DONE, SKIPPED, FAILED, DEAD]),
        st.sampled_from(["", CRASH, MEMORY, INTERRUPTED, LOST]),
        st.integers(0, 10**9),
    ),
    max_size=200,
)


@given(ENTRIES, st.integers(0, 200))
def test_it_does_not_matter_where_a_tick_cuts(entries: list[LedgerEntry], cut: int) -> None:
    whole = progress(Tally(), count(*entries), NOW)
    tally = Tally().plus(count(*entries[:cut]))
    tally = Tally.model_validate_json(tally.model_dump_json())
    parts = progress(tally, count(*entries[cut:]), NOW)
    assert (parts.done, parts.dead, parts.failures) == (whole.done, whole.dead, whole.failures)
    assert (parts.failed_by, parts.dead_by) == (whole.failed_by, whole.dead_by)
    assert (parts.first, parts.seconds, parts.timed) == (whole.first, whole.seconds, whole.timed)


def test_what_is_remembered_is_bounded() -> None:
    spread = [entry(n, DONE, seconds=int(1.01**n)) for n in range(3000)]
    tally = Tally().plus(count(*spread))
    assert len(tally.first) == FIRST
    assert len(tally.model_dump_json()) < 16_000


def test_first_outcomes_are_of_different_jobs_and_somebodys_fault() -> None:
    found = progress(
        Tally(),
        count(
            entry(1, FAILED, INTERRUPTED),
            entry(2, FAILED, CRASH),
            entry(2, DEAD, MEMORY),
            entry(3, DEAD, LOST),
            entry(4, FAILED),
            entry(1, DONE),
        ),
        NOW,
    )
    assert [(o.job, o.cause) for o in found.first] == [
        ("5a.0002", CRASH),
        ("5a.0004", "unknown"),
        ("5a.0001", ""),
    ]


def test_the_pace_is_taken_since_the_first_end_but_over_fifteen_minutes_at_most() -> None:
    early = count(*(entry(n, DONE) for n in range(12)))
    assert progress(Tally(), early, NOW).per_minute == 12
    assert progress(Tally(), early, NOW + timedelta(minutes=4)).per_minute == 3
    tally = Tally().plus(early)
    late = count(entry(20, DONE, minute=60), entry(21, FAILED, CRASH, minute=60))
    assert progress(tally, late, NOW + timedelta(minutes=61)).per_minute == pytest.approx(1 / 15)
    assert progress(tally, Count(), NOW + timedelta(minutes=61)).per_minute == 0
    assert progress(Tally(), Count(), NOW).per_minute is None


def test_digits_that_are_no_time_are_no_pace() -> None:
    odd = LedgerEntry.parse(f"runs/{RUN}/ledger/99999999T9999/5a.01.1.done.-.60")
    assert odd is not None
    assert progress(Tally(), count(odd), NOW).per_minute is None


def times(*seconds: float) -> dict[int, int]:
    return add_times({}, map(time_class, seconds))


@given(st.lists(st.floats(1, 1e5), min_size=1, max_size=200))
def test_the_mean_is_the_winsorised_one_to_a_few_percent(seconds: list[float]) -> None:
    cut = max(1, len(seconds) // 50) if len(seconds) > 2 else 0
    ordered = sorted(seconds)
    low, high = ordered[cut], ordered[len(ordered) - 1 - cut]
    plain = sum(min(max(each, low), high) for each in seconds) / len(seconds)
    assert robust_mean(times(*seconds)) == pytest.approx(plain, rel=0.025)


def test_one_job_that_hung_changes_little() -> None:
    assert robust_mean(times(*[300] * 20, 43_200)) == pytest.approx(300, rel=0.025)
    assert robust_mean({}) is None
    assert robust_mean(times(0)) == pytest.approx(0.5, rel=0.025)
