"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.turn import in_turn


@given(st.sets(st.text("ABC-0", min_size=1, max_size=4)), st.text("ABC-0", max_size=4))
def test_everyone_has_exactly_one_turn_beginning_where_the_last_pass_stopped(
    runs: set[str], first: str
) -> None:
    order = in_turn(runs, first)

    assert sorted(order) == sorted(runs)
    if first in runs:
        assert order[0] == first
    later = [run for run in runs if run >= first]
    assert order[: len(later)] == sorted(later)
