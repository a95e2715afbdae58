"""A fleet that can't work, against the emulator: seen, told, given up, and tried again."""

from __future__ import annotations

from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from chalicelib.aws.evidence import stopped_tasks
from chalicelib.core.ailment import StoppedTask
from chalicelib.core.run import Phase
from chalicelib.operations import control
from chalicelib.operations.tick import Status, tick_run
from local.moto_ec2 import refuse, withhold
from tests.aws.conftest import World
from tests.aws.machines import backend_of, instance_ids, register
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import send_event, upload
from tests.aws.test_tick import remains

NO_ROLE = ("error", {"EventSubType": "iamFleetRoleInvalid"})
NO_CAPACITY = (
    "information",
    {
        "EventSubType": "launchSpecTemporarilyBlacklisted",
        "EventDescription": "There is no Spot capacity available that matches your request.",
    },
)


def fleet_file(**specification: Any) -> dict[str, Any]:
    return {
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [{"EbsOptimized": True, **specification}],
    }


def ec2(_world: World) -> Any:
    return ec2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]


def submit(world: World, **keys: Any) -> str:
    return send_event(world, upload(world, job_file(4, config=config_keys(**keys)))).run_id


def after(world: World, minutes: int, run_id: str, *, step: int = 1) -> Status:
    """The status after so long, with a tick each `step` minutes; none of them may fail."""
    last: Status | None = None
    for _ in range(minutes // step):
        world.clock.advance(minutes=step)
        status = tick_run(world.process("tick"), run_id)
        assert status is not None
        assert status.errors == ()
        last = status
    assert last is not None
    return last


def fleets(world: World) -> list[Any]:
    return list(world.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"])


def test_a_fleet_that_cant_work_is_given_up_its_jobs_stay_and_it_may_be_tried_again(
    world: World,
) -> None:
    withhold(ec2(world), [NO_ROLE])
    run_id = submit(world)
    assert after(world, 2, run_id).health == ()
    found = after(world, 3, run_id)
    assert "AmazonEC2SpotFleetTaggingRole" in found.health[0]
    assert not world.process().runs.load(run_id).stuck

    found = after(world, 15, run_id, step=5)
    record = world.process().runs.load(run_id)
    assert record.phase is Phase.OPEN
    assert "given up after 15 minutes" in record.stuck
    assert found.health == (record.stuck,)
    assert (found.machines, found.waiting) == (0, 4)
    assert {fleet["SpotFleetRequestState"] for fleet in fleets(world)} <= {
        "cancelled",
        "cancelled_terminating",
    }
    assert world.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    asked = len(fleets(world))
    after(world, 10, run_id, step=5)
    assert len(fleets(world)) == asked  # nothing is requested while it is given up

    withhold(ec2(world), None)
    again = control.start(world.process(), "App", None)
    assert again is not None
    assert (again.machines, again.health) == (2, ())
    assert after(world, 20, run_id, step=4).health == ()
    assert not world.process().runs.load(run_id).stuck


def test_a_run_that_was_given_up_can_be_stopped_and_leaves_nothing(world: World) -> None:
    withhold(ec2(world), [NO_ROLE])
    run_id = submit(world)
    after(world, 20, run_id, step=4)
    control.stop(world.process(), "App")
    for _ in range(4):
        world.clock.advance(minutes=1)
        tick_run(world.process("tick"), run_id)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    assert remains(world) == []


def test_missing_capacity_is_waited_for_and_says_so(world: World) -> None:
    withhold(ec2(world), [NO_CAPACITY])
    run_id = submit(world)
    found = after(world, 120, run_id, step=4)
    assert "They are waited for" in found.health[0]
    assert not world.process().runs.load(run_id).stuck
    withhold(ec2(world), None)
    found = after(world, 32, run_id, step=4)  # the open request expires, the next one is filled
    assert (found.machines, found.health) == (2, ())


def test_a_share_at_full_price_is_requested_when_spot_has_none(world: World) -> None:
    withhold(ec2(world), [NO_CAPACITY])
    run_id = submit(world, ON_DEMAND_PERCENT=50)
    after(world, 12, run_id, step=4)
    assert [fleet.on_demand for fleet in world.process().runs.load(run_id).fleets] == [0]
    withhold(ec2(world), None)
    found = after(world, 3, run_id)
    first, second = world.process().runs.load(run_id).fleets
    assert (first.on_demand, second.on_demand) == (0, 1)
    assert found.machines == 2


def test_a_refused_request_is_told_and_given_up(world: World) -> None:
    refuse(ec2(world), "UnauthorizedOperation", "You are not authorized to perform this operation.")
    run_id = submit(world)
    world.clock.advance(minutes=1)
    found = tick_run(world.process("tick"), run_id)
    assert found is not None
    assert "may not start machines" in found.health[0]
    assert "UnauthorizedOperation" in found.errors[0]
    for _ in range(5):
        world.clock.advance(minutes=4)
        found = tick_run(world.process("tick"), run_id)
    assert found is not None
    assert "given up after 15 minutes" in found.health[0]
    assert found.errors == ()

    refuse(ec2(world))
    again = control.start(world.process(), "App", None)
    assert again is not None
    assert (again.machines, again.health) == (2, ())


def test_a_token_that_was_used_before_is_given_up_for_the_next_one(world: World) -> None:
    """The record was lost, and with it the memory of an earlier request."""
    refuse(ec2(world), "IdempotentParameterMismatch", "Same token, another request")
    run_id = submit(world)
    assert all(fleet.abandoned for fleet in world.process().runs.load(run_id).fleets)
    refuse(ec2(world))
    found = after(world, 1, run_id)
    assert (found.machines, found.health) == (2, ())


def test_a_machine_image_that_isnt_there_is_told_and_given_up(world: World) -> None:
    bad = fleet_file(ImageId="ami-0123456789abcdef0")
    body = job_file(config=config_keys(), fleet=bad)
    run_id = send_event(world, upload(world, body)).run_id
    found = after(world, 1, run_id)
    assert "ami-0123456789abcdef0" in found.health[0]
    found = after(world, 20, run_id, step=4)
    assert "given up" in found.health[0]
    again = control.start(world.process(), "App", fleet_file())
    assert again is not None
    assert (again.machines, again.health) == (2, ())


def test_a_healthy_tick_reads_no_history_and_no_tasks(world: World) -> None:
    run_id = submit(world)
    world.wire.seen.clear()
    after(world, 12, run_id, step=4)
    targets = " ".join(world.wire.seen)
    assert "ListTasks" not in targets
    assert "DescribeTasks" not in targets


def test_ended_tasks_are_read_with_their_reasons(world: World) -> None:
    run_id = submit(world, MEMORY=2000, CPU_SHARES=1024)
    ecs = world.client("ecs")
    names = {"cluster": "lab", "service": "AppService"}
    assert stopped_tasks(ecs, **names) == ()
    assert stopped_tasks(ecs, cluster="gone", service="AppService") == ()

    register(world, instance_ids(world, run_id)[0], run_id=run_id)
    started = [
        ecs.run_task(cluster="lab", taskDefinition="AppTask")["tasks"][0]["taskArn"]
        for _ in range(2)
    ]
    ours, other = (backend_of(world).tasks["lab"][arn] for arn in started)
    ours.group, other.group = "service:AppService", "service:App2Service"
    for task in (ours, other):
        task.desired_status = task.last_status = "STOPPED"
        task.stop_code, task.stopped_reason = "TaskFailedToStart", "Task failed to start"
        task.stopped_at = world.clock()
        task.containers[0].reason = "CannotPullContainerError: not found"
        task.containers[0].exitCode = 1
    assert stopped_tasks(ecs, **names) == (
        StoppedTask(
            at=world.clock(),
            code="TaskFailedToStart",
            reason="Task failed to start",
            container_reason="CannotPullContainerError: not found",
            exit_code=1,
        ),
    )
