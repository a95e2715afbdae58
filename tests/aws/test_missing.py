"""Jobs that vanish: every accepted group ends in the ledger, whatever becomes of its message."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import missing
from chalicelib.contract import DEAD, DONE, FAILED, LOST, LedgerEntry
from chalicelib.core.run import Phase
from chalicelib.operations.tick import Status, tick_run
from tests.aws.conftest import World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import send_event, upload, wells
from tests.aws.test_tick import remains


def ticks(world: World, run_id: str, minutes: int) -> Status | None:
    status = None
    for _ in range(minutes):
        world.clock.advance(minutes=1)
        status = tick_run(world.process("tick"), run_id) or status
    return status


def lose(world: World) -> list[dict[str, Any]]:
    """Take all messages away without an outcome, as SQS and purges do."""
    return world.messages("AppQueue", delete=True)


def test_lost_jobs_are_sent_again_and_finish(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    taken = lose(world)
    ticks(world, run_id, 4)
    assert world.messages("AppQueue") == []  # not after a few readings: counts lag
    ticks(world, run_id, 1)
    again = world.messages("AppQueue")
    assert wells(again) == wells(taken)
    assert {b["cellfleet"]["job"] for b in again} == {b["cellfleet"]["job"] for b in taken}

    for body in again:  # workers finish them
        ours = body["cellfleet"]
        entry = LedgerEntry(
            run=run_id,
            minute=f"{world.clock():%Y%m%dT%H%M}",
            submission=ours["submission"],
            job=ours["job"],
            attempt=1,
            outcome=DONE,
        )
        world.put(entry.key(), b"{}")
    ticks(world, run_id, 1)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED


def test_jobs_lost_again_and_again_are_entered_as_dead_and_the_run_ends(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    seen = []
    for _ in range(3):
        lose(world)
        seen.append(ticks(world, run_id, 9))
    last = seen[-1]
    assert last is not None
    assert (last.done, last.dead) == (0, 4)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    assert remains(world) == []
    entries = [e for e in map(LedgerEntry.parse, world.keys("runs/")) if e is not None]
    assert {(e.outcome, e.cause) for e in entries} == {(DEAD, LOST)}
    key = next(key for key in world.keys("runs/") if LedgerEntry.parse(key))
    assert "no worker recorded an outcome" in world.read(key)["sentence"]


def test_a_job_that_used_up_its_tries_is_not_sent_again(world: World) -> None:
    run_id = send_event(world, upload(world, job_file(2, config=config_keys(JOB_RETRIES=2)))).run_id
    for body in lose(world):
        ours = body["cellfleet"]
        for attempt in (1, 2) if body["Metadata"] == "Metadata_Plate=P1,Metadata_Well=0" else ():
            entry = LedgerEntry(
                run=run_id,
                minute=f"{world.clock():%Y%m%dT%H%M}",
                submission=ours["submission"],
                job=ours["job"],
                attempt=attempt,
                outcome=FAILED,
                cause="crash",
            )
            world.put(entry.key(), b"{}")
    status = ticks(world, run_id, 7)
    assert status is not None
    assert status.dead == 1
    assert wells(world.messages("AppQueue")) == {"Metadata_Plate=P1,Metadata_Well=1": 1}


def test_a_queue_that_somebody_deleted_is_made_anew_and_its_jobs_sent_again(
    world: World,
) -> None:
    run_id = send_event(world, upload(world)).run_id
    url = world.client("sqs").get_queue_url(QueueName="AppQueue")["QueueUrl"]
    world.client("sqs").delete_queue(QueueUrl=url)
    ticks(world, run_id, 8)
    assert wells(world.messages("AppQueue")).total() == 4


def test_more_lost_jobs_than_one_slice_are_all_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "SLICE", 3)
    run_id = send_event(world, upload(world, job_file(11, config=config_keys()))).run_id
    taken = lose(world)
    ticks(world, run_id, 5)
    assert wells(world.messages("AppQueue")) == wells(taken)
