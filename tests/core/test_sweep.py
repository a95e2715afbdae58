"""What is removed without a live run: only what is ours, only after a while, in a safe order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.machines import CancelFleet, TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.watch import DeleteAlarms
from chalicelib.core.run import Phase
from chalicelib.core.sweep import (
    GRACE,
    LOST_GRACE,
    Kind,
    RunState,
    RunView,
    Thing,
    decide_sweep,
    in_one_go,
    look_alike,
    removal,
    stale_alarm,
)
from chalicelib.operations.namesakes import APPS, turn
from tests.core.factories import NOW, RUN, config, record

LATER = NOW + timedelta(days=1)


def finished(**keys: Any) -> RunView:
    settings = config(**{"CLEAN_DASHBOARD": "True"} | keys)
    ended = record(settings).model_copy(update={"phase": Phase.FINISHED, "ended_at": NOW})
    return RunView.of(ended, settings, busy=False)


MISSING = RunView(state=RunState.MISSING)
UNREADABLE = RunView(state=RunState.UNREADABLE)
LIVE = RunView.of(record(), config(), busy=False)


def thing(kind: Kind, **fields: Any) -> Thing:
    name = "ScreenQueue" if kind is Kind.QUEUE else f"a {kind}"
    values = {"kind": kind, "name": name, "ours": True, "app": "Screen", "run_id": RUN}
    return Thing(**(values | fields))


ALL = [thing(kind) for kind in Kind if kind is not Kind.MACHINE]


def goes(
    things: list[Thing], run: RunView, now: datetime = LATER, *, lost: bool = False
) -> list[Kind]:
    verdicts = decide_sweep(things, run, now, lost=lost)
    assert all(verdict.reason for verdict in verdicts)
    return [verdict.thing.kind for verdict in verdicts if verdict.action is not None]


def test_whatever_is_left_of_a_finished_run_goes() -> None:
    assert goes(ALL, finished()) == [kind for kind in Kind if kind is not Kind.MACHINE]


def test_nothing_of_a_live_run_goes() -> None:
    assert goes([*ALL, thing(Kind.MACHINE)], LIVE, lost=True) == []


def test_what_doesnt_carry_our_tags_never_goes() -> None:
    foreign = [replace(t, ours=False) for t in [*ALL, thing(Kind.MACHINE)]]
    for run in (finished(), MISSING, UNREADABLE):
        assert goes(foreign, run, lost=True) == []
    assert look_alike(foreign[0]).action is None


@pytest.mark.parametrize("kind", list(Kind))
def test_the_grace_counts_from_the_end_and_from_the_making(kind: Kind) -> None:
    soon, late = NOW + GRACE - timedelta(seconds=1), NOW + GRACE
    assert goes([thing(kind)], finished(), soon) == []
    assert goes([thing(kind)], finished(), late) == [kind]
    young = thing(kind, created_at=late)
    assert goes([young], finished(), late) == []
    assert goes([young], finished(), late + GRACE) == [kind]


def test_the_queue_and_the_cluster_go_after_the_machines() -> None:
    machine = thing(Kind.MACHINE)
    assert Kind.QUEUE not in goes([*ALL, machine], finished())
    assert Kind.CLUSTER not in goes([*ALL, machine], finished())
    assert Kind.MACHINE in goes([*ALL, machine], finished())


def test_what_a_new_run_of_the_app_uses_is_left_to_it() -> None:
    busy = replace(finished(), busy=True)
    assert goes([*ALL, thing(Kind.MACHINE)], busy) == [Kind.FLEET, Kind.MACHINE]


def test_default_cluster_dead_letters_wanted_dashboards_and_things_in_use_stay() -> None:
    stay = [
        thing(Kind.CLUSTER, name="default"),
        thing(Kind.CLUSTER, kept="in use"),
        thing(Kind.QUEUE, kept="a dead-letter queue stays"),
        thing(Kind.QUEUE, name="lab_DeadMessages"),
    ]
    assert goes(stay, finished()) == []
    assert goes([thing(Kind.DASHBOARD)], finished(CLEAN_DASHBOARD="False")) == []


@pytest.mark.parametrize("run", [MISSING, UNREADABLE], ids=lambda run: run.state)
def test_of_a_run_without_a_record_only_what_costs_money_goes(run: RunView) -> None:
    everything = [replace(t, created_at=NOW) for t in [*ALL, thing(Kind.MACHINE)]]
    assert goes(everything, run, NOW + LOST_GRACE - timedelta(seconds=1)) == []
    assert goes(everything, run, NOW + LOST_GRACE) == [Kind.FLEET, Kind.MACHINE]
    # Not known how old: not touched.
    assert goes([thing(Kind.MACHINE)], run) == []
    assert set(goes(ALL, run, NOW, lost=True)) == set(Kind) - {Kind.MACHINE}


@given(
    things=st.lists(
        st.builds(
            thing,
            st.sampled_from(Kind),
            ours=st.booleans(),
            kept=st.sampled_from(("", "in use")),
            created_at=st.sampled_from((None, NOW, LATER)),
            name=st.sampled_from(("default", "ScreenQueue", "x")),
        ),
        max_size=12,
    ),
    run=st.sampled_from((LIVE, MISSING, UNREADABLE, finished())),
    minutes=st.integers(0, 3000),
)
def test_only_ours_only_after_the_grace_and_one_verdict_each(
    things: list[Thing], run: RunView, minutes: int
) -> None:
    now = NOW + timedelta(minutes=minutes)
    verdicts = decide_sweep(things, run, now)
    assert len(verdicts) == len(things)
    for verdict in verdicts:
        if verdict.action is not None:
            assert verdict.thing.ours
            assert not verdict.thing.kept
            assert run.state is not RunState.LIVE
            assert now - (verdict.thing.created_at or NOW) >= GRACE
            assert (verdict.thing.kind, verdict.thing.name) != (Kind.CLUSTER, "default")


def test_machines_go_together_and_after_their_fleets() -> None:
    things = [thing(Kind.MACHINE, name=f"i-{n}") for n in range(1001)]
    things += [thing(Kind.FLEET), thing(Kind.QUEUE, where="url")]
    plan = in_one_go(decide_sweep(things, finished(), LATER))
    assert [type(action) for action in plan] == [
        CancelFleet,
        TerminateInstances,
        TerminateInstances,
    ]
    assert sum(len(a.instance_ids) for a in plan if isinstance(a, TerminateInstances)) == 1001


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_can_be_removed_by_its_name(kind: Kind) -> None:
    assert f"a {kind}" in repr(removal(thing(kind, name=f"a {kind}", where="there")))
    if kind is Kind.QUEUE:
        assert removal(thing(kind, where="url")) == DeleteQueue(name="ScreenQueue", url="url")


def test_an_alarm_goes_only_with_a_machine_that_was_ours_and_is_gone() -> None:
    name = "Screen_i-0123456789abcdef0"

    def verdict(*, known: bool, gone: bool) -> Any:
        return stale_alarm("Screen", "i-0123456789abcdef0", name, known=known, gone=gone).action

    assert verdict(known=True, gone=True) == DeleteAlarms(names=(name,))
    assert verdict(known=True, gone=False) is None
    assert verdict(known=False, gone=True) is None


@given(st.integers(0, 260), st.integers(0, 10_000))
def test_every_app_has_its_turn(count: int, hour: int) -> None:
    apps = [f"app{n}" for n in range(count)]
    rounds = -(-count // APPS)
    seen = [app for later in range(rounds) for app in turn(apps, hour + later)]
    assert sorted(seen) == sorted(apps)
    assert all(len(turn(apps, hour + later)) <= APPS for later in range(rounds))
