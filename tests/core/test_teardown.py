"""The end of a run: everything of its own goes, in order, whatever fails; nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import plan
from chalicelib.core.naming import tags
from chalicelib.core.observation import (
    ClusterView,
    FleetView,
    InstanceView,
    Observation,
    QueueView,
    ServiceView,
)
from chalicelib.core.plan import Action, ChangePhase
from chalicelib.core.run import STOPPED, Phase, RunRecord
from chalicelib.core.teardown import decide_teardown
from tests.core.factories import (
    APP,
    DEPLOYMENT,
    OURS,
    config,
    fleet,
    queue,
    record,
    seen,
    service,
    submission,
    task_arn,
)
from tests.core.world import World

SETTINGS = config(ECS_CLUSTER="imaging", CREATE_DASHBOARD="True", CLEAN_DASHBOARD="True")
FOREIGN = [
    {},
    tags(app="Screen2", run_id="Screen2-1", deployment=DEPLOYMENT),
    tags(app=APP, run_id=f"{APP}-1", deployment="somebody-elses"),
]
EARLIER = tags(app=APP, run_id=f"{APP}-20240229T0800000000", deployment=DEPLOYMENT)

ANYBODYS = st.sampled_from([OURS, EARLIER, *FOREIGN])
QUEUES = st.none() | st.builds(lambda owner: queue(owner=owner), ANYBODYS)
SERVICES = st.none() | st.builds(
    lambda owner, status, desired: service(owner=owner, status=status, desired=desired),
    ANYBODYS,
    st.sampled_from(["ACTIVE", "DRAINING"]),
    st.integers(0, 3),
)
CLUSTERS = st.none() | st.builds(
    ClusterView,
    name=st.sampled_from(["imaging", "default"]),
    services=st.integers(0, 1),
    instances=st.integers(0, 1),
    tasks=st.integers(0, 1),
    tags=ANYBODYS,
)
STATES = st.sampled_from(["pending", "running", "shutting-down", "stopping", "stopped"])
FLEET_STATES = st.sampled_from(
    ["submitted", "active", "modifying", "cancelled_running", "cancelled_terminating", "failed"]
)
SIGHTS = st.builds(
    seen,
    queue=QUEUES,
    service=SERVICES,
    cluster=CLUSTERS,
    instances=st.lists(STATES, max_size=3).map(
        lambda states: tuple(
            InstanceView(instance_id=f"i-{n}", state=state) for n, state in enumerate(states)
        )
    ),
    fleets=st.lists(FLEET_STATES, max_size=2).map(
        lambda states: tuple(
            FleetView(fleet_id=f"sfr-{n}", state=state, target=3) for n, state in enumerate(states)
        )
    ),
    container_instances=st.sampled_from([(), (("imaging", "container-instance/1"),)]),
    task_definitions=st.sampled_from([(), (task_arn("ScreenTask"),)]),
    launch_templates=st.sampled_from([(), ("ScreenWorker",)]),
    alarms=st.sampled_from([(), ("Screen_i-0",)]),
    dashboard=st.booleans(),
)


def ending(**fields: Any) -> RunRecord:
    values: dict[str, Any] = {
        "phase": Phase.TEARING_DOWN,
        "outcome": "complete",
        "start": True,
        "submissions": {"5a": submission(10)},
        "dashboard": "drawn",
    }
    return record(SETTINGS, **(values | fields))


def kinds(actions: tuple[Action, ...]) -> set[type[Action]]:
    return {type(action) for action in actions}


def is_ours(thing: QueueView | ServiceView | ClusterView | None) -> bool:
    return thing is not None and dict(thing.tags) in (OURS, EARLIER)


# --- each look -----------------------------------------------------------------------------------


@given(SIGHTS)
def test_the_queue_stays_while_anything_may_read_it(sight: Observation) -> None:
    deletes = plan.DeleteQueue in kinds(decide_teardown(ending(), SETTINGS, sight))
    readers = sight.instances or sight.container_instances
    assert deletes == (is_ours(sight.queue) and not readers)


@given(SIGHTS)
def test_a_cluster_goes_only_if_it_is_ours_unused_and_not_the_default(sight: Observation) -> None:
    deletes = plan.DeleteCluster in kinds(decide_teardown(ending(), SETTINGS, sight))
    assert deletes == (
        is_ours(sight.cluster)
        and sight.cluster is not None
        and sight.cluster.name != "default"
        and (sight.cluster.services, sight.cluster.instances, sight.cluster.tasks) == (0, 0, 0)
        and sight.service is None
        and not sight.instances
        and not sight.container_instances
    )


@given(SIGHTS)
def test_a_service_is_touched_only_if_it_is_ours(sight: Observation) -> None:
    found = kinds(decide_teardown(ending(), SETTINGS, sight))
    active = sight.service is not None and sight.service.status == "ACTIVE"
    assert (plan.DeleteService in found) == (is_ours(sight.service) and active)
    if not is_ours(sight.service):
        assert plan.UpdateService not in found


@given(SIGHTS)
def test_it_is_finished_only_when_nothing_of_the_run_is_left(sight: Observation) -> None:
    actions = decide_teardown(ending(), SETTINGS, sight)
    left = (
        is_ours(sight.queue)
        or is_ours(sight.service)
        or any(not fleet.over for fleet in sight.fleets)
        or sight.instances
        or sight.container_instances
        or sight.task_definitions
        or sight.launch_templates
        or sight.alarms
        or sight.dashboard
    )
    if left:
        assert ChangePhase not in kinds(actions)
    elif plan.DeleteCluster not in kinds(actions):
        assert actions == (ChangePhase(phase=Phase.FINISHED, outcome="complete"),)


@given(SIGHTS)
def test_nothing_is_made_in_the_end(sight: Observation) -> None:
    assert kinds(decide_teardown(ending(), SETTINGS, sight)) <= {
        plan.UpdateService,
        plan.DeleteService,
        plan.CancelFleet,
        plan.TerminateInstances,
        plan.DeregisterInstance,
        plan.DeleteAlarms,
        plan.DeleteDashboard,
        plan.DeleteLaunchTemplate,
        plan.DeregisterTaskDefinition,
        plan.DeleteQueue,
        plan.DeleteCluster,
        plan.ChangePhase,
    }


@given(SIGHTS)
def test_the_service_is_only_ever_set_to_zero(sight: Observation) -> None:
    for action in decide_teardown(ending(), SETTINGS, sight):
        if isinstance(action, plan.UpdateService):
            assert (action.desired, action.task_definition, action.constraints) == (0, "", ())


def test_machines_are_terminated_once_and_then_awaited() -> None:
    sight = seen(
        instances=(
            InstanceView(instance_id="i-1", state="running"),
            InstanceView(instance_id="i-2", state="shutting-down"),
            InstanceView(instance_id="i-3", state="stopped"),
        )
    )
    [first] = [
        action
        for action in decide_teardown(ending(), SETTINGS, sight)
        if isinstance(action, plan.TerminateInstances)
    ]
    assert first.instance_ids == ("i-1", "i-3")
    leaving = seen(
        queue=None,
        service=None,
        instances=(InstanceView(instance_id="i-2", state="shutting-down"),),
    )
    assert decide_teardown(ending(), SETTINGS, leaving) == ()


@pytest.mark.parametrize(("clean", "deleted"), [("True", True), ("False", False)])
def test_the_dashboard_is_kept_if_the_user_wants_it(clean: str, deleted: bool) -> None:
    settings = config(CLEAN_DASHBOARD=clean)
    sight = seen(queue=None, service=None, dashboard=True)
    actions = decide_teardown(ending(), settings, sight)
    if deleted:
        assert actions == (plan.DeleteDashboard(name="Screen"),)
    else:
        assert kinds(actions) == {ChangePhase}


# --- until it is finished ------------------------------------------------------------------------


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
    assert last[plan.TerminateInstances] < first[plan.DeregisterInstance]
    assert last[plan.DeregisterInstance] < first[plan.DeleteQueue]
    assert last[plan.DeleteService] < first[plan.DeleteCluster]
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


@pytest.mark.xfail(strict=True, reason="alarms are looked for by the machines that are there")
@pytest.mark.parametrize("failing", [False, True], ids=["interrupted", "deletion failed"])
def test_the_alarm_of_a_machine_that_is_gone_goes_too(failing: bool) -> None:
    found = World(record=ending(worker="dcp"), config=SETTINGS)
    machines(found, ["running"], ["active"], kind="request")
    [machine] = found.instances
    found.alarms = {found.names.instance_alarm(machine)}
    found.fleets["sfr-1"] = FleetView(fleet_id="sfr-1", state="cancelled_running", target=1)
    if failing:
        found.tick(lambda action: isinstance(action, plan.DeleteAlarms))
    else:
        del found.instances[machine]
    found.pass_time()
    until_finished(found, [], most=5)
