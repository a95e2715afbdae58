"""The end of a run: everything of its own goes, in order, whatever fails; nothing else does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from chalicelib.core.actions.ecs import (
    DeleteCluster,
    DeleteService,
    DeregisterInstance,
    DeregisterTaskDefinition,
    UpdateService,
)
from chalicelib.core.actions.machines import CancelFleets, DeleteLaunchTemplate, TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.record import ChangePhase
from chalicelib.core.actions.watch import DeleteAlarms, DeleteDashboard, DeleteFile
from chalicelib.core.observation import (
    HostView,
    InstanceView,
    Observation,
)
from chalicelib.core.run import Phase, Result
from chalicelib.core.teardown import FEW_HOSTS, FORGETS_WITHIN, decide_teardown, without
from tests.core.factories import (
    NOW,
    config,
    seen,
    service,
)
from tests.core.remains import (
    SETTINGS,
    SIGHTS,
    ending,
    is_ours,
    kinds,
)


@given(SIGHTS)
def test_the_queue_stays_while_anything_may_read_it(sight: Observation) -> None:
    deletes = DeleteQueue in kinds(decide_teardown(ending(), SETTINGS, sight))
    readers = sight.instances or sight.hosts
    assert deletes == (is_ours(sight.queue) and not readers)


@given(SIGHTS)
def test_a_cluster_goes_only_if_it_is_ours_unused_and_not_the_default(sight: Observation) -> None:
    deletes = DeleteCluster in kinds(decide_teardown(ending(), SETTINGS, sight))
    assert deletes == (
        is_ours(sight.cluster)
        and sight.cluster is not None
        and sight.cluster.name != "default"
        and (sight.cluster.services, sight.cluster.instances, sight.cluster.tasks) == (0, 0, 0)
        and sight.service is None
        and not sight.instances
        and not sight.hosts
    )


@given(SIGHTS)
def test_a_service_is_touched_only_if_it_is_ours(sight: Observation) -> None:
    found = kinds(decide_teardown(ending(), SETTINGS, sight))
    active = sight.service is not None and sight.service.status == "ACTIVE"
    machines_gone = not sight.instances and not sight.hosts
    deleted = is_ours(sight.service) and active and machines_gone
    assert (DeleteService in found) == deleted
    if not is_ours(sight.service):
        assert UpdateService not in found


@given(SIGHTS)
def test_it_is_finished_only_when_nothing_of_the_run_is_left(sight: Observation) -> None:
    actions = decide_teardown(ending(), SETTINGS, sight)
    left = (
        is_ours(sight.queue)
        or is_ours(sight.service)
        or any(not fleet.over for fleet in sight.fleets)
        or sight.instances
        or sight.hosts
        or sight.task_definitions
        or sight.launch_templates
        or sight.alarms
        or sight.dashboard
    )
    if left:
        assert ChangePhase not in kinds(actions)
    elif DeleteCluster not in kinds(actions):
        assert actions == (ChangePhase(phase=Phase.FINISHED, outcome="complete"),)


@given(SIGHTS)
def test_nothing_is_made_in_the_end(sight: Observation) -> None:
    assert kinds(decide_teardown(ending(), SETTINGS, sight)) <= {
        UpdateService,
        DeleteService,
        CancelFleets,
        TerminateInstances,
        DeregisterInstance,
        DeleteAlarms,
        DeleteDashboard,
        DeleteLaunchTemplate,
        DeregisterTaskDefinition,
        DeleteQueue,
        DeleteCluster,
        ChangePhase,
    }


@given(SIGHTS)
def test_the_service_is_only_ever_set_to_zero(sight: Observation) -> None:
    for action in decide_teardown(ending(), SETTINGS, sight):
        if isinstance(action, UpdateService):
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
        if isinstance(action, TerminateInstances)
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
    sight = seen(queue=None, service=None, dashboard=True, last_things=True)
    actions = decide_teardown(ending(), settings, sight)
    if deleted:
        assert actions == (DeleteDashboard(name="Screen"),)
    else:
        assert kinds(actions) == {ChangePhase}


def test_it_is_not_finished_before_all_was_looked_at() -> None:
    assert decide_teardown(ending(), SETTINGS, seen(queue=None, service=None)) == ()


@given(SIGHTS)
def test_what_was_deleted_is_left_out_of_what_is_left(sight: Observation) -> None:
    done = decide_teardown(ending(), SETTINGS, sight)
    rest = decide_teardown(ending(), SETTINGS, without(sight, done))
    # Machines and services go in their own time; nothing else is done twice.
    slow = (TerminateInstances, DeleteService, ChangePhase)
    assert not [action for action in done if action in rest and not isinstance(action, slow)]
    assert without(sight, ()) == sight


def test_a_service_is_asked_to_stop_once_and_its_end_awaited() -> None:
    machine = InstanceView(instance_id="i-1", state="shutting-down")
    sight = seen(service=service(desired=3, running=3), instances=(machine,))
    [stop] = [a for a in decide_teardown(ending(), SETTINGS, sight) if type(a) is UpdateService]
    assert stop.desired == 0
    rest = without(sight, (stop,))
    assert rest.service is not None
    assert (rest.service.desired, rest.service.running) == (0, 3)
    assert decide_teardown(ending(), SETTINGS, rest) == ()


def test_the_file_that_dcps_monitor_reads_goes() -> None:
    sight = seen(queue=None, service=None, monitor_file=True, last_things=True)
    [action] = decide_teardown(ending(), SETTINGS, sight)
    bucket = SETTINGS.aws_bucket
    assert action == DeleteFile(bucket=bucket, key="monitors/ScreenSpotFleetRequestId.json")


def test_hosts_that_are_gone_are_left_to_ecs_for_a_while_if_they_are_many() -> None:
    hosts = tuple(
        HostView(cluster="imaging", arn=f"container-instance/{n}", instance_id=f"i-{n}")
        for n in range(FEW_HOSTS + 1)
    )

    def deregistered(since: timedelta, found: tuple[HostView, ...]) -> int:
        run = ending(result=Result(at=NOW - since))
        sight = seen(remains=True, instances=(), hosts=found)
        actions = decide_teardown(run, SETTINGS, sight)
        assert ChangePhase not in kinds(actions)
        return sum(isinstance(action, DeregisterInstance) for action in actions)

    assert deregistered(timedelta(minutes=1), hosts[1:]) == FEW_HOSTS
    assert deregistered(timedelta(minutes=1), hosts) == 0
    assert deregistered(FORGETS_WITHIN, hosts) == len(hosts)
