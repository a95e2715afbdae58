"""Looks at a run within one tick."""

from __future__ import annotations

from chalicelib.aws.observe import Memory, follow_up, look
from chalicelib.contract import DEAD, LedgerEntry
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


def test_dead_letters_are_counted_once_a_job_has_died_and_then_now_and_then(world: World) -> None:
    run_id = launch(world)
    services = world.process()
    record = services.runs.load(run_id)
    config = parse_keys(record.config, run_id).config
    world.client("sqs").send_message(QueueUrl=record.dead_letter_url, MessageBody="another app's")
    _, memory = look(services, record, config, Memory())
    assert memory.dead_letters is None

    [submission] = record.submissions
    entry = LedgerEntry(
        run=run_id,
        minute=f"{world.clock():%Y%m%dT%H%M}",
        submission=submission,
        job="5a",
        attempt=1,
        outcome=DEAD,
        cause="input",
    )
    world.put(entry.key(), b"{}")
    world.client("sqs").send_message(QueueUrl=record.dead_letter_url, MessageBody="ours")
    _, memory = look(services, record, config, memory)
    assert memory.dead_letters == 2
    world.client("sqs").purge_queue(QueueUrl=record.dead_letter_url)
    assert look(services, record, config, memory)[1].dead_letters == 2
    world.clock.advance(minutes=5)
    assert look(services, record, config, memory)[1].dead_letters == 0
