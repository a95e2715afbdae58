"""What is read of machines, services and container instances."""

from __future__ import annotations

from chalicelib.aws import cluster, fleet
from tests.aws.conftest import World
from tests.aws.machines import instance_ids, register
from tests.aws.test_submit import send_event, upload


def test_a_machine_tells_when_by_what_and_as_what_it_was_launched(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    found = fleet.look_at_instances(world.client("ec2"), run_id)
    assert sorted(view.instance_id for view in found) == instance_ids(world, run_id)
    [request] = world.process().runs.load(run_id).fleets
    for view in found:
        assert (view.machine_type, view.fleet_id) == ("m5.xlarge", request.fleet_id)
        assert view.launched_at is not None
        assert view.launched_at.tzinfo is not None


def test_hosts_are_the_runs_own_by_their_attribute(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    first, second = instance_ids(world, run_id)
    arn = register(world, first, run_id=run_id, tasks=2)
    register(world, second, run_id="Other-20260301T1200000000")
    [host] = cluster.look_at_hosts(world.client("ecs"), "lab", run_id)
    assert (host.arn, host.instance_id, host.status) == (arn, first, "ACTIVE")
    assert (host.running, host.pending, host.busy, host.connected) == (2, 0, True, True)
    assert cluster.look_at_hosts(world.client("ecs"), "nowhere", run_id) == ()


def test_a_service_tells_what_happened_to_it(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    view = cluster.look_at_service(world.client("ecs"), "lab", "AppService")
    assert view is not None
    assert all(text and when.tzinfo for when, text in view.events), run_id
