"""Teardown, tick after tick: whatever there is and whatever fails, it comes to its end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.ecs import DeleteCluster, DeleteService, DeregisterInstance
from chalicelib.core.actions.machines import TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.record import ChangePhase
from chalicelib.core.actions.watch import DeleteAlarms
from chalicelib.core.observation import (
    ClusterView,
    FleetView,
    QueueView,
    ServiceView,
)
from chalicelib.core.run import STOPPED, Phase
from tests.core.factories import (
    FOREIGN,
    OURS,
    config,
    fleet,
    queue,
    service,
    task_arn,
)
from tests.core.remains import (
    CLUSTERS,
    FLEET_STATES,
    QUEUES,
    SERVICES,
    SETTINGS,
    STATES,
    ending,
    is_ours,
    kinds,
)
from tests.core.world import World


def machines(found: World, states: list[str], fleets: list[str], *, kind: str) -> None:
    """Put fleets and their machines into a world."""
    asked = []
    for number, state in enumerate(fleets, start=1):
        request = fleet(2, number=number)
        request = request.model_copy(update={"request": {**request.request, "Type": kind}})
        asked.append(request)
        found.fleets[request.fleet_id] = FleetView(fleet_id=request.fleet_id, state=state, target=2)
        found.requests[request.fleet_id], found.launched[request.fleet_id] = request, 0
    found.remember(fleets=tuple(asked))
    for number, state in enumerate(states):
        name = f"i-sfr-1-{number}0"
        found.instances[name] = state
        found.container_instances.add(f"container-instance/{name}")


def until_finished(found: World, failures: list[bool], *, most: int) -> None:
    """Tick after tick, the first actions failing as told."""
    for _ in range(most):
        found.tick(lambda _: bool(failures) and failures.pop())
        if found.record.phase is Phase.FINISHED:
            return
        found.pass_time()
    raise AssertionError(f"still there: {found.remains()}, after {found.history}")


@given(
    queue=QUEUES,
    service=SERVICES,
    cluster=CLUSTERS,
    states=st.lists(STATES, max_size=3),
    fleets=st.lists(FLEET_STATES, min_size=1, max_size=2),
    kind=st.sampled_from(["request", "maintain"]),
    templates=st.lists(st.sampled_from(["ScreenWorker", "ScreenWorker-2"]), unique=True),
    tasks=st.lists(st.integers(1, 3), unique=True),
    clean=st.booleans(),
    outcome=st.sampled_from(["complete", STOPPED]),
    failures=st.lists(st.booleans(), max_size=40),
)
def test_whatever_there_is_and_fails_it_finishes_and_nothing_is_left(
    queue: QueueView | None,
    service: ServiceView | None,
    cluster: ClusterView | None,
    states: list[str],
    fleets: list[str],
    kind: str,
    templates: list[str],
    tasks: list[int],
    clean: bool,
    outcome: str,
    failures: list[bool],
) -> None:
    settings = config(ECS_CLUSTER="imaging", CLEAN_DASHBOARD=clean)
    found = World(
        record=ending(outcome=outcome),
        config=settings,
        queue=queue,
        service=service,
        cluster=cluster,
    )
    machines(found, states, fleets, kind=kind)
    found.templates = dict.fromkeys(templates, OURS)
    found.task_definitions = [task_arn("ScreenTask", revision) for revision in tasks]
    found.dashboards = {"Screen": "{}", "Screen2": "{}"}
    # A tick does all it can: ten are enough after the last failure, of which each tick may have one.
    until_finished(found, failures, most=len(failures) + 10)
    assert found.record.outcome == outcome
    assert found.remains() == []
    assert sorted(found.dashboards) == (["Screen2"] if clean else ["Screen", "Screen2"])
    # What is somebody else's is as it was (ECS alone takes away what was DRAINING).
    assert found.queue == (None if is_ours(queue) else queue)
    if service is not None and not is_ours(service) and service.status == "ACTIVE":
        assert found.service == service
    if not is_ours(cluster) or (cluster is not None and not cluster.unused):
        assert found.cluster == cluster


@pytest.mark.parametrize("owner", FOREIGN, ids=["untagged", "another app", "another deployment"])
def test_a_run_among_strangers_finishes_without_touching_them(owner: dict[str, str]) -> None:
    strangers: dict[str, Any] = {
        "queue": queue(owner=owner),
        "service": service(owner=owner, desired=3, running=3),
        "cluster": ClusterView(name="imaging", services=0, instances=0, tasks=0, tags=owner),
    }
    found = World(record=ending(), config=SETTINGS, **strangers)
    until_finished(found, [], most=2)
    assert kinds(tuple(found.history)) == {ChangePhase}
    assert {name: getattr(found, name) for name in strangers} == strangers


def test_a_cluster_that_others_use_is_left_to_them() -> None:
    shared = ClusterView(name="imaging", services=1, instances=2, tasks=4, tags=OURS)
    found = World(record=ending(), config=SETTINGS, cluster=shared, queue=queue())
    until_finished(found, [], most=3)
    assert (found.cluster, found.queue) == (shared, None)


def test_machines_go_before_the_queue_and_the_service_before_its_cluster() -> None:
    unused = ClusterView(name="imaging", services=0, instances=0, tasks=0, tags=OURS)
    found = World(
        record=ending(), config=SETTINGS, queue=queue(), service=service(desired=2), cluster=unused
    )
    machines(found, ["running", "running"], ["active"], kind="maintain")
    until_finished(found, [], most=10)
    order = [type(action) for action in found.history]
    first = {kind: order.index(kind) for kind in set(order)}
    last = {kind: len(order) - 1 - order[::-1].index(kind) for kind in set(order)}
    assert last[TerminateInstances] < first[DeregisterInstance]
    assert last[DeregisterInstance] < first[DeleteQueue]
    assert last[DeleteService] < first[DeleteCluster]
    assert order[-1] is ChangePhase


def test_a_fleet_whose_answer_was_lost_is_found_and_cancelled() -> None:
    found = World(record=ending(), config=SETTINGS)
    machines(found, ["running"], ["active"], kind="request")
    [asked] = found.record.fleets
    found.remember(fleets=(asked.model_copy(update={"fleet_id": ""}),))
    until_finished(found, [], most=5)
    assert found.fleets["sfr-1"].over
    assert found.instances == {}


def test_the_alarms_of_dcps_workers_go_with_their_machines() -> None:
    found = World(record=ending(worker="dcp"), config=SETTINGS)
    machines(found, ["running", "running"], ["active"], kind="request")
    found.alarms = {found.names.instance_alarm(name) for name in found.instances}
    found.pass_time()
    until_finished(found, [], most=5)
    assert found.alarms == set()


@pytest.mark.parametrize("failing", [False, True], ids=["interrupted", "deletion failed"])
def test_the_alarm_of_a_machine_that_is_gone_goes_too(failing: bool) -> None:
    found = World(record=ending(worker="dcp"), config=SETTINGS)
    machines(found, ["running"], ["active"], kind="request")
    [machine] = found.instances
    found.alarms = {found.names.instance_alarm(machine)}
    found.fleets["sfr-1"] = FleetView(fleet_id="sfr-1", state="cancelled_running", target=1)
    if failing:
        found.tick(lambda action: isinstance(action, DeleteAlarms))
    else:
        found.look()  # a tick that saw it
        del found.instances[machine]
    found.pass_time()
    until_finished(found, [], most=5)
