"""The simulator's two plain histories, and that a history is its seed's alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.core.run import COMPLETE, Phase
from tests.sim.history import History
from tests.sim.invariants import broken
from tests.sim.scenario import Scenario, by_hand, of_seed, plain


@pytest.mark.parametrize("scenario", [plain, by_hand])
def test_a_run_in_which_nothing_goes_wrong(scenario: Callable[[], Scenario]) -> None:
    history = History(scenario()).run()
    assert broken(history) == []
    (record,) = history.records()
    assert (record.phase, record.outcome) == (Phase.FINISHED, COMPLETE)
    assert sum(history.world.starts.values()) == 6, "each job ran once"
    assert [done.error for done in history.invocations if done.error] == []


def test_one_seed_is_one_history() -> None:
    calls: list[list[str]] = []
    for _ in range(2):
        made: list[str] = []
        history = History(of_seed(3))
        history.world.witness = lambda call, answer, made=made: made.append(  # type: ignore[misc]
            f"{call.at} {call.service}.{call.method} {call.arguments} {answer}"
            if call.method != "get_object"
            else f"{call.at} {call.arguments}"
        )
        history.run()
        calls.append(made)
    assert len(calls[0]) > 500
    assert calls[0] == calls[1]
