"""Looks at a run within one tick."""

from __future__ import annotations

from chalicelib.aws.observe import Memory, follow_up, look
from chalicelib.core.config import parse_keys
from chalicelib.core.start import missing_machines
from tests.aws.conftest import World
from tests.aws.test_scale_in import launch


def test_a_fleet_that_one_look_found_over_stays_over_in_the_next(world: World) -> None:
    run_id = launch(world)
    services = world.process()
    record = services.runs.load(run_id)
    config = parse_keys(record.config, run_id).config
    [request] = record.fleets
    # Somebody cancels it by hand, and its machines with it.
    world.client("ec2").cancel_spot_fleet_requests(
        SpotFleetRequestIds=[request.fleet_id], TerminateInstances=True
    )
    seen, memory = look(services, record, config, Memory())
    for _ in range(2):
        assert [view.fleet_id for view in seen.fleets if view.over] == [request.fleet_id]
        assert missing_machines(record, config, seen) == request.machines
        seen, memory = follow_up(services, record, config, seen, memory)
    assert [view.fleet_id for view in seen.fleets if view.over] == [request.fleet_id]
