"""Machines leave one step a tick, and no busy one is stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances, UpdateService
from chalicelib.core.actions.machines import CancelFleet, ShrinkFleet, TerminateInstances
from chalicelib.core.capacity import capacity
from chalicelib.core.observation import (
    FleetView,
    HostView,
    InstanceView,
    Observation,
    Progress,
)
from chalicelib.core.plan import Plan
from chalicelib.core.run import RunRecord
from chalicelib.core.scale_in import SETTLE, decide_scale_in, surplus
from chalicelib.core.sizing import load_of, machines_wanted
from chalicelib.core.start import missing_machines
from tests.core.factories import NOW, config, fleet, queue, seen, service, started
from tests.core.world import MINUTE, World, running

HOUR_AGO = NOW - timedelta(hours=1)
SETTINGS = config(CLUSTER_MACHINES=20, TASKS_PER_MACHINE=1, DOCKER_CORES=1)


def instance(number: int, **fields: Any) -> InstanceView:
    values: dict[str, Any] = {
        "instance_id": f"i-{number}",
        "state": "running",
        "launched_at": HOUR_AGO,
        "fleet_id": "sfr-1",
    }
    return InstanceView(**(values | fields))


def host(number: int, **fields: Any) -> HostView:
    values: dict[str, Any] = {
        "arn": f"container-instance/{number}",
        "cluster": "default",
        "instance_id": f"i-{number}",
        "running": 1,
    }
    return HostView(**(values | fields))


def at_work(jobs: int, *, waiting: int, **fields: Any) -> tuple[RunRecord, Observation]:
    """A run with `jobs` left, `waiting` of them in the queue, and a look at it."""
    count = len(fields.get("instances", ()))
    values: dict[str, Any] = {
        "queue": queue(visible=waiting, in_flight=jobs - waiting),
        "progress": Progress(done=100 - jobs, seconds=60.0, timed=100),
        "service": service(desired=count, running=count),
    }
    record = started(
        SETTINGS,
        100,
        fleets=(fleet(count, asked=HOUR_AGO, valid=timedelta(minutes=30)),),
        started_at=HOUR_AGO,
    )
    return record, seen(**(values | fields))


def of(kind: type, actions: Plan) -> list[Any]:
    return [action for action in actions if isinstance(action, kind)]


def ids(actions: Plan, kind: type) -> set[str]:
    return {name for action in of(kind, actions) for name in action.instance_ids}


# --- leaving -------------------------------------------------------------------------------------


def test_while_jobs_wait_nobody_leaves() -> None:
    views = tuple(instance(n) for n in range(5))
    record, sight = at_work(10, waiting=5, instances=views, hosts=tuple(host(n) for n in range(5)))
    assert decide_scale_in(record, SETTINGS, sight) == ()
    assert surplus(record, SETTINGS, sight) == 0


def test_when_none_waits_all_but_one_drain_the_emptiest_first() -> None:
    views = tuple(instance(n) for n in range(4))
    hosts = (host(0, running=2), host(1, running=1, pending=2), host(2, running=0), host(3))
    record, sight = at_work(3, waiting=0, instances=views, hosts=hosts)
    actions = decide_scale_in(record, SETTINGS, sight)
    [drain] = of(DrainInstances, actions)
    assert drain.instance_ids == ("i-2", "i-3", "i-0")
    assert drain.arns == tuple(f"container-instance/{n}" for n in (2, 3, 0))
    assert of(TerminateInstances, actions) == []
    # All four tasks still run: ECS isn't told to keep fewer.
    assert of(UpdateService, actions) == []


def test_without_a_look_at_what_they_hold_none_leaves() -> None:
    record, sight = at_work(1, waiting=0, instances=tuple(instance(n) for n in range(4)))
    assert surplus(record, SETTINGS, sight) == 3
    assert decide_scale_in(record, SETTINGS, sight) == ()


def test_those_that_are_still_booting_go_at_once() -> None:
    views = (instance(0), instance(1, state="pending", launched_at=NOW - MINUTE), instance(2))
    hosts = (host(0), host(2))
    record, sight = at_work(2, waiting=0, instances=views, hosts=hosts)
    actions = decide_scale_in(record, SETTINGS, sight)
    assert ids(actions, TerminateInstances) == {"i-1"}
    assert len(ids(actions, DrainInstances)) == 1


@pytest.mark.parametrize(
    ("fields", "since", "goes"),
    [
        ({"running": 0}, 60, True),
        ({"running": 0}, 10, False),
        ({"running": 1}, 3600, False),
        ({"running": 0, "pending": 1}, 3600, False),
        ({"running": 0, "status": "ACTIVE"}, 3600, False),
    ],
    ids=["empty", "just told", "busy", "a task on its way", "not draining"],
)
def test_a_machine_is_terminated_when_it_was_seen_empty_a_tick_after_draining(
    fields: dict[str, Any], since: int, goes: bool
) -> None:
    hosts = (host(0), host(1, **({"status": "DRAINING"} | fields)))
    record, sight = at_work(
        1,
        waiting=1,
        instances=(instance(0), instance(1)),
        hosts=hosts,
        drained=frozenset({"i-1"}),
        leaving_since={"i-1": NOW - timedelta(seconds=since)},
    )
    gone = ids(decide_scale_in(record, SETTINGS, sight), TerminateInstances)
    assert gone == ({"i-1"} if goes else set())


def test_dcps_workers_arent_protected_so_that_only_empty_machines_drain() -> None:
    views = tuple(instance(n) for n in range(3))
    hosts = (host(0), host(1, running=0), host(2))
    record, sight = at_work(0, waiting=0, instances=views, hosts=hosts)
    record = record.model_copy(update={"worker": "dcp"})
    actions = decide_scale_in(record, SETTINGS, sight)
    assert ids(actions, DrainInstances) == {"i-1"}


def test_a_limit_below_what_is_there_lets_the_rest_finish() -> None:
    views = tuple(instance(n) for n in range(4))
    hosts = tuple(host(n) for n in range(4))
    record, sight = at_work(50, waiting=46, instances=views, hosts=hosts)
    limited = record.model_copy(update={"machine_limit": 1})
    assert len(ids(decide_scale_in(limited, SETTINGS, sight), DrainInstances)) == 3


# --- requests ------------------------------------------------------------------------------------


def test_a_request_that_nobody_waits_for_is_closed_and_its_machines_stay() -> None:
    open_ = fleet(5, number=2, asked=NOW - MINUTE)
    views = (instance(0), instance(1))
    record, sight = at_work(2, waiting=0, instances=views, hosts=(host(0), host(1)))
    record = record.model_copy(update={"fleets": (*record.fleets, open_)})
    actions = decide_scale_in(record, SETTINGS, sight)
    assert of(CancelFleet, actions) == [CancelFleet(fleet_id="sfr-2", keep_machines=True)]
    closed = record.model_copy(
        update={"fleets": tuple(f.model_copy(update={"closed": True}) for f in record.fleets)}
    )
    assert capacity(closed, sight).coming == 0


def test_a_maintain_fleet_is_lowered_before_its_machines_leave() -> None:
    asked = fleet(4, asked=HOUR_AGO, valid=timedelta(days=7))
    asked = asked.model_copy(update={"request": {**asked.request, "Type": "maintain"}})
    views = tuple(instance(n) for n in range(4))
    hosts = tuple(host(n) for n in range(4))
    record, sight = at_work(2, waiting=0, instances=views, hosts=hosts)
    record = record.model_copy(update={"fleets": (asked,)})
    high = replace(sight, fleets=(FleetView(fleet_id="sfr-1", state="active", target=4),))
    assert decide_scale_in(record, SETTINGS, high) == (ShrinkFleet(fleet_id="sfr-1", target=1),)
    low = replace(sight, fleets=(FleetView(fleet_id="sfr-1", state="active", target=1),))
    actions = decide_scale_in(record, SETTINGS, low)
    assert of(ShrinkFleet, actions) == []
    assert len(ids(actions, DrainInstances)) == 3


# --- coming back ---------------------------------------------------------------------------------


def leaving_world(*, waiting: int, **fields: Any) -> tuple[RunRecord, Observation]:
    """One machine works, two were told to leave and still hold a job."""
    views = tuple(instance(n) for n in range(3))
    hosts = (host(0), host(1, status="DRAINING"), host(2, status="DRAINING"))
    values: dict[str, Any] = {
        "instances": views,
        "hosts": hosts,
        "drained": frozenset({"i-1", "i-2"}),
        "leaving_since": {"i-1": HOUR_AGO, "i-2": HOUR_AGO},
    }
    return at_work(3 + waiting, waiting=waiting, **(values | fields))


def test_when_jobs_come_machines_on_their_way_out_are_called_back_before_others_are_asked_for() -> (
    None
):
    record, sight = leaving_world(waiting=60)
    actions = decide_scale_in(record, SETTINGS, sight)
    assert ids(actions, ActivateInstances) == {"i-1", "i-2"}
    wanted = machines_wanted(load_of(record, SETTINGS, sight))
    assert missing_machines(record, SETTINGS, sight) == wanted - 3


@pytest.mark.parametrize(
    "fields",
    [{"drained": frozenset()}, {"hosts": (host(0), host(1, status="DRAINING", connected=False))}],
)
def test_those_that_a_spot_notice_drains_or_that_are_silent_are_not(fields: dict[str, Any]) -> None:
    record, sight = leaving_world(waiting=60, **fields)
    assert of(ActivateInstances, decide_scale_in(record, SETTINGS, sight)) == []


def test_where_no_more_are_allowed_those_that_leave_are_called_back() -> None:
    settings = config(CLUSTER_MACHINES=3, TASKS_PER_MACHINE=1, DOCKER_CORES=1)
    record, sight = leaving_world(waiting=60)
    assert ids(decide_scale_in(record, settings, sight), ActivateInstances) == {"i-1", "i-2"}
    assert missing_machines(record, settings, sight) == 0


def test_machines_that_finish_their_jobs_count_towards_those_allowed() -> None:
    silent = (host(1, status="DRAINING", connected=False), host(2, status="DRAINING"))
    settings = config(CLUSTER_MACHINES=3, TASKS_PER_MACHINE=1, DOCKER_CORES=1)
    record, sight = leaving_world(waiting=60, hosts=(host(0), *silent))
    assert missing_machines(record, settings, sight) == 0
    # Those that spot takes back are gone in two minutes.
    noticed = replace(sight, drained=frozenset())
    assert missing_machines(record, settings, noticed) == 2


def test_after_a_call_back_nobody_is_told_to_leave_for_a_while() -> None:
    views = tuple(instance(n) for n in range(4))
    hosts = tuple(host(n) for n in range(4))
    record, sight = at_work(4, waiting=0, instances=views, hosts=hosts)
    for ago, leaves in ((SETTLE - MINUTE, False), (SETTLE + MINUTE, True)):
        looks = replace(sight, revived_at=NOW - ago)
        assert bool(of(DrainInstances, decide_scale_in(record, SETTINGS, looks))) is leaves


# --- who decides ---------------------------------------------------------------------------------


def test_without_a_monitor_the_tick_only_watches() -> None:
    settings = config(CLUSTER_MACHINES=20, DOCKER_CORES=1, AUTO_MONITOR="False")
    views = tuple(instance(n) for n in range(4))
    hosts = tuple(host(n) for n in range(4))
    record, sight = at_work(50, waiting=46, instances=views, hosts=hosts)
    idle_record, idle = at_work(0, waiting=0, instances=views, hosts=hosts)
    assert missing_machines(record, settings, sight) == 0
    assert decide_scale_in(idle_record, settings, idle) == ()
    somebody = {"monitored": True}
    assert missing_machines(record.model_copy(update=somebody), settings, sight) > 0
    assert decide_scale_in(idle_record.model_copy(update=somebody), settings, idle)
    # Those that startCluster asks for come all the same; once.
    again = record.model_copy(update={"asked_at": NOW - MINUTE})
    assert missing_machines(again, settings, sight) > 0
    assert missing_machines(record.model_copy(update={"fleets": ()}), settings, sight) > 0


def test_cheapest_lets_machines_work_that_it_would_not_ask_for() -> None:
    views = tuple(instance(n) for n in range(4))
    hosts = tuple(host(n) for n in range(4))
    record, sight = at_work(50, waiting=46, instances=views, hosts=hosts)
    cheap = record.model_copy(update={"cheapest": True})
    assert decide_scale_in(cheap, SETTINGS, sight) == ()
    assert missing_machines(cheap, SETTINGS, sight) == 0


# --- containers ----------------------------------------------------------------------------------


@given(st.integers(0, 12), st.integers(0, 4), st.integers(0, 20), st.integers(0, 6))
def test_ecs_is_never_told_to_keep_fewer_than_run(
    run: int, pending: int, desired: int, count: int
) -> None:
    views = tuple(instance(n) for n in range(count))
    hosts = tuple(host(n) for n in range(count))
    record, sight = at_work(
        2,
        waiting=0,
        instances=views,
        hosts=hosts,
        service=service(desired=desired, running=run, pending=pending),
    )
    for action in of(UpdateService, decide_scale_in(record, SETTINGS, sight)):
        assert run + pending <= action.desired < desired


# --- every look ----------------------------------------------------------------------------------

MACHINES = st.lists(
    st.tuples(
        st.sampled_from(["pending", "running", "shutting-down", "stopped"]),
        st.none() | st.sampled_from(["ACTIVE", "DRAINING", "REGISTERING"]),
        st.integers(0, 2),
        st.integers(0, 90),
        st.booleans(),
    ),
    max_size=8,
)


@given(MACHINES, st.integers(0, 12), st.integers(0, 12), st.sampled_from(["cellfleet", "dcp"]))
def test_no_machine_with_tasks_is_terminated_and_none_but_ours_is_named(
    machines: list[tuple[str, str | None, int, int, bool]], held: int, waiting: int, worker: str
) -> None:
    views = tuple(
        instance(n, state=state, launched_at=NOW - timedelta(minutes=age))
        for n, (state, _, _, age, _) in enumerate(machines)
    )
    hosts = tuple(
        host(n, status=status, running=tasks, connected=connected)
        for n, (_, status, tasks, _, connected) in enumerate(machines)
        if status is not None
    )
    stranger = host(99, running=0, status="DRAINING")
    since = {view.instance_id: HOUR_AGO for view in views}
    record, sight = at_work(
        held + waiting,
        waiting=waiting,
        instances=views,
        hosts=(*hosts, stranger),
        leaving_since={**since, "i-99": HOUR_AGO},
        drained=frozenset({*since, "i-99"}),
    )
    record = record.model_copy(update={"worker": worker})
    actions = decide_scale_in(record, SETTINGS, sight)
    busy = {h.instance_id for h in hosts if h.busy}
    stopped = {view.instance_id for view in views if view.state == "stopped"}
    assert not ids(actions, TerminateInstances) & (busy - stopped)
    named = {name for a in actions for name in getattr(a, "instance_ids", ())}
    assert named <= {view.instance_id for view in views}
    if worker == "dcp":
        assert not ids(actions, DrainInstances) & busy
    # What takes work is never less than what is wanted.
    found = capacity(record, sight)
    wanted = machines_wanted(load_of(record, SETTINGS, sight))
    left = {view.instance_id for view in found.active} - named
    leaves = ids(actions, DrainInstances)
    if leaves:
        assert len(left) + found.coming >= wanted


# --- a whole life --------------------------------------------------------------------------------


def holds(world: World, jobs: int, held: dict[str, int]) -> None:
    """So many jobs are left, machines hold some of them, the others wait."""
    assert world.queue is not None
    busy = sum(held.values())
    world.queue = replace(world.queue, visible=jobs - busy, in_flight=busy)
    world.progress = Progress(done=world.record.jobs - jobs, seconds=300.0, timed=100)
    world.busy = held


@given(st.integers(2, 12), st.lists(st.integers(0, 11), max_size=30), st.randoms())
def test_as_work_runs_out_machines_go_and_the_busy_ones_last(
    count: int, ends: list[int], random: Any
) -> None:
    world = running(count, CLUSTER_MACHINES=count, DOCKER_CORES=1, SECONDS_TO_START=0)
    world.tick()
    world.pass_time(4 * MINUTE)
    held = dict.fromkeys(world.instances, 1)
    holds(world, len(held), held)
    world.tick()
    for number in [*ends, *range(12)]:
        name = sorted(held)[number % len(held)] if held else ""
        held.pop(name, None)
        holds(world, max(1, len(held)), dict(held))
        world.tick()
        assert set(held) <= set(world.instances), "a busy machine is gone"
        world.pass_time()
        if random.random() < 0.3:
            world.tick()
    for _ in range(3):
        world.tick()
        world.pass_time()
    # The last job may come back: one machine waits for it.
    assert len(world.instances) == 1
    assert world.service is not None


def test_no_flapping_however_the_counts_of_the_queue_swing() -> None:
    world = running(8, CLUSTER_MACHINES=8, DOCKER_CORES=1, SECONDS_TO_START=0)
    world.tick()
    world.pass_time(4 * MINUTE)
    orders = 0
    for minute in range(60):
        names = list(world.instances)
        assert world.queue is not None
        world.busy = dict.fromkeys(names, 1)
        world.progress = Progress(done=0, seconds=300.0, timed=100)
        waits = minute % 2 * 8
        world.queue = replace(world.queue, visible=waits, in_flight=8 - waits)
        world.tick()
        world.pass_time()
        orders = sum(isinstance(a, DrainInstances) for a in world.history)
    assert orders <= 60 / (SETTLE / MINUTE)
    assert len(world.record.fleets) == 1
