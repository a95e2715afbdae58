"""Scale-in against the emulator: what each action asks of AWS, and a run from many machines to none."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.aws import cluster, fleet
from chalicelib.aws.actions import Rim, carry_out
from chalicelib.contract import DONE, LedgerEntry
from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances
from chalicelib.core.actions.machines import CancelFleet, ShrinkFleet
from chalicelib.errors import CellFleetError
from tests.aws.conftest import World
from tests.aws.machines import backend_of, instance_ids, register
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import send_event, upload
from tests.aws.test_tick import status_of

#: One long job a machine, so that sizing asks for one machine each.
ONE_EACH = {
    "DOCKER_CORES": 1,
    "CPU_SHARES": 1024,
    "CLUSTER_MACHINES": 4,
    "SQS_MESSAGE_VISIBILITY": 3600,
}


def launch(world: World, jobs: int = 4, **keys: Any) -> str:
    """A run whose machines are there, not registered yet."""
    return send_event(
        world, upload(world, job_file(jobs, config=config_keys(**(ONE_EACH | keys))))
    ).run_id


def states(world: World, run_id: str) -> dict[str, str]:
    hosts = cluster.look_at_hosts(world.client("ecs"), "lab", run_id)
    return {host.instance_id: host.status for host in hosts}


def set_tasks(world: World, tasks: dict[str, int]) -> None:
    for host in backend_of(world).container_instances["lab"].values():
        if host.ec2_instance_id in tasks:
            host.running_tasks_count = tasks[host.ec2_instance_id]


def take_all(world: World) -> list[dict[str, Any]]:
    """Every job is held by a worker; the messages."""
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=43_200)
    return list(found["Messages"])


def end_job(world: World, message: dict[str, Any]) -> None:
    """A worker has done its job."""
    sqs, ours = world.client("sqs"), json.loads(message["Body"])["cellfleet"]
    entry = LedgerEntry(
        run=ours["run"],
        minute=f"{world.clock():%Y%m%dT%H%M}",
        submission=ours["submission"],
        job=ours["job"],
        attempt=1,
        outcome=DONE,
        seconds=60,
    )
    world.put(entry.key(), b"{}")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_thirty_machines_are_drained_in_tens_and_called_back(world: World) -> None:
    run_id = launch(world, 30, CLUSTER_MACHINES=30)
    names = instance_ids(world, run_id)
    assert len(names) > 20
    arns = tuple(register(world, name, run_id=run_id) for name in names)
    rim = Rim(world.process(), run_id)
    gone = "arn:aws:ecs:us-east-1:123456789012:container-instance/lab/" + "0" * 32
    carry_out(DrainInstances(cluster="lab", arns=(*arns, gone), instance_ids=(*names, "i-0")), rim)
    assert set(states(world, run_id).values()) == {"DRAINING"}
    carry_out(ActivateInstances(cluster="lab", arns=arns, instance_ids=tuple(names)), rim)
    assert set(states(world, run_id).values()) == {"ACTIVE"}


def test_a_request_is_closed_and_its_machines_stay(world: World) -> None:
    run_id = launch(world)
    services = world.process()
    [request] = services.runs.load(run_id).fleets
    before = instance_ids(world, run_id)
    action = CancelFleet(fleet_id=request.fleet_id, keep_machines=True)
    for _ in range(2):  # a second time changes nothing
        carry_out(action, Rim(services, run_id))
    [request] = services.runs.load(run_id).fleets
    assert request.closed
    assert not request.may_bring(world.clock())
    [view] = fleet.look_at_fleets(world.client("ec2"), [request.fleet_id])
    assert view.over
    assert instance_ids(world, run_id) == before


def test_a_maintain_fleets_target_is_lowered_and_its_machines_stay(world: World) -> None:
    run_id = launch(world, AUTO_MONITOR="False")
    services = world.process()
    [request] = services.runs.load(run_id).fleets
    assert request.type == "maintain"
    before = instance_ids(world, run_id)
    carry_out(ShrinkFleet(fleet_id=request.fleet_id, target=1), Rim(services, run_id))
    [view] = fleet.look_at_fleets(world.client("ec2"), [request.fleet_id])
    assert view.target == 1
    assert instance_ids(world, run_id) == before


def test_what_ecs_refuses_is_told(world: World) -> None:
    run_id = launch(world)
    operation = "AmazonEC2ContainerServiceV20141113.UpdateContainerInstancesState"
    world.wire.answer(operation, {"failures": [{"arn": "a/b", "reason": "X"}]})
    action = DrainInstances(cluster="lab", arns=("a/b",), instance_ids=("i-1",))
    with pytest.raises(CellFleetError, match="b: X"):
        carry_out(action, Rim(world.process(), run_id))


def test_a_run_sheds_its_machines_as_its_work_runs_out(world: World) -> None:
    run_id = launch(world)
    names = instance_ids(world, run_id)
    assert len(names) == 4
    for name in names:
        register(world, name, run_id=run_id, tasks=1)
    held = take_all(world)
    status_of(world, run_id)
    # All are held; nothing waits: every machine but one takes no more work.
    leaving = [name for name, state in states(world, run_id).items() if state == "DRAINING"]
    assert len(leaving) == 3
    assert instance_ids(world, run_id) == names

    # Two of them end their jobs and become empty. A tick later they are gone, the busy ones are not.
    for message in held[:2]:
        end_job(world, message)
    set_tasks(world, {leaving[0]: 0, leaving[1]: 0})
    world.clock.advance(minutes=1)
    status = status_of(world, run_id)
    assert set(instance_ids(world, run_id)) == set(names) - set(leaving[:2])
    assert status.errors == ()
    assert status.leaving == 1


def test_a_machine_that_never_registers_is_replaced(world: World) -> None:
    run_id = launch(world, 40)
    names = instance_ids(world, run_id)
    for name in names[1:]:
        register(world, name, run_id=run_id, tasks=1)
    _run_at(world, "AppService", 3)
    _age_machines(world, run_id, timedelta(minutes=5))
    status_of(world, run_id)
    assert instance_ids(world, run_id) == names
    for minutes in (7, 1, 1, 1):
        world.clock.advance(minutes=minutes)
        _age_machines(world, run_id, timedelta(minutes=12))
        status_of(world, run_id)
    now = instance_ids(world, run_id)
    assert names[0] not in now
    assert set(names[1:]) <= set(now)
    assert len(now) == 4, "another was asked for"


def _run_at(world: World, service: str, running: int) -> None:
    for found in backend_of(world).services.values():
        if found.name == service:
            found.running_count = running


def _age_machines(world: World, run_id: str, age: timedelta) -> None:
    """moto launches machines now, by the real clock; the test's is another."""
    from moto.backends import get_backend

    ec2: Any = get_backend("ec2")[world.clients.account]["us-east-1"]
    for name in instance_ids(world, run_id):
        ec2.get_instance(name).launch_time = world.clock() - age
