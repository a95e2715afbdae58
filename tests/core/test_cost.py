"""Hours and dollars so far: an upper bound for what ticks saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.cost import dollars, machine_hours
from tests.core.factories import record

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_nothing_was_seen_before() -> None:
    assert machine_hours(0.0, seen_at=None, machines=0, now=NOW, machines_now=5) == 0


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4), (4, 4)])
def test_the_more_at_either_end_count(before: int, after: int) -> None:
    seen = NOW - timedelta(minutes=15)
    assert machine_hours(2.0, seen_at=seen, machines=before, now=NOW, machines_now=after) == 3.0


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    later = NOW + timedelta(minutes=5)
    assert machine_hours(2.0, seen_at=later, machines=3, now=NOW, machines_now=3) == 2.0


@given(st.lists(st.tuples(st.integers(1, 600), st.integers(0, 50)), min_size=2, max_size=30))
def test_it_is_never_less_than_what_was_there(looks: list[tuple[int, int]]) -> None:
    """Machines change at the looks only, to what the look before or after shows."""
    at, hours, least = NOW, 0.0, 0.0
    for (_, before), (seconds, after) in pairwise(looks):
        now = at + timedelta(seconds=seconds)
        hours = machine_hours(hours, seen_at=at, machines=before, now=now, machines_now=after)
        least += seconds / 3600 * min(before, after)
        at = now
    assert hours >= least - 1e-4


def test_dollars_where_they_are_known() -> None:
    assert dollars(record(), 0.1, 20.0) == 2.0
    assert dollars(record(), None, 20.0) is None
