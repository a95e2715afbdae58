"""Messages that are no job of this run, or none at all."""

from __future__ import annotations

import json

import pytest

from chalicelib import contract
from tests.worker.world import RUN, World
from worker.job import work
from worker.reception import StaleRun, StaleVersion

OLDER = "Plate-20241231T2359590000"
NEWER = "Plate-20250101T000001abcd"
# Of another app, whose name begins like ours and sorts after it.
OTHER = "Plate-two-20260101T0000000000"
UNREADABLE = '{"pipeline": "p"}'


def newer_version(world: World) -> str:
    body = json.loads(world.message("A01").encode())
    body["cellfleet"] = {"v": contract.MESSAGE_VERSION + 1, "job": {"of": "a new kind"}}
    return json.dumps(body)


@pytest.mark.parametrize("run", [OLDER, OTHER])
def test_a_job_that_has_no_business_here_goes_to_the_dead_letters(
    run: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    body = world.message("A01", run=run).encode()
    work(world.tools(), world.lease(body))
    assert world.dead() == [body]
    assert world.queued() == (0, 0)
    assert world.keys("runs/") == []
    assert world.runs() == []
    assert f"is of run {run}, but this is the queue of run {RUN}" in capsys.readouterr().out


def test_without_dead_letters_it_is_given_back(world: World) -> None:
    body = world.message("A01", run=OLDER).encode()
    work(world.tools(dead_letter_url=""), world.lease(body))
    assert world.queued() == (0, 1)
    assert world.dead() == []


def test_it_is_given_back_where_the_dead_letters_are_gone(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.dead_letter_url)
    work(world.tools(), world.lease(world.message("A01", run=OLDER)))
    assert world.queued() == (0, 1)
    assert world.ledger() == []


def test_a_newer_run_s_job_is_returned_and_ends_this_worker(world: World) -> None:
    body = world.message("A01", run=NEWER).encode()
    with pytest.raises(StaleRun, match=NEWER):
        work(world.tools(), world.lease(body))
    again = world.lease()
    assert (again.body, again.receives) == (body, 1)
    assert world.ledger() == []
    assert world.runs() == []


def test_a_message_for_newer_workers_is_given_back_and_ends_this_worker(world: World) -> None:
    with pytest.raises(StaleVersion, match=r"version 2.*this worker reads version 1 at most"):
        work(world.tools(), world.lease(newer_version(world)))
    assert world.queued() == (0, 1)
    assert world.dead() == []
    assert world.ledger() == []


def test_a_message_that_can_t_be_read_is_buried(world: World) -> None:
    work(world.tools(), world.lease(UNREADABLE))
    assert world.outcomes() == [("dead", "message")]
    assert world.dead() == [UNREADABLE]
    assert world.queued() == (0, 0)


def test_one_that_can_t_be_kept_either_is_on_record(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.dead_letter_url)
    work(world.tools(), world.lease(UNREADABLE))
    ((entry, body),) = world.ledger()
    assert (entry.outcome, body["message"]) == ("dead", UNREADABLE)
    assert "The dead-letter queue is gone" in body["sentence"]
    assert world.queued() == (0, 0)


@pytest.mark.parametrize(("kind", "code"), [("run", 3), ("version", 4)])
def test_a_stale_worker_ends_with_a_code_of_its_own(kind: str, code: int, world: World) -> None:
    world.send(world.message("A01", run=NEWER) if kind == "run" else newer_version(world))
    assert world.supervisor().run() == code


def test_a_stranger_s_job_doesn_t_keep_the_worker_from_its_own(world: World) -> None:
    world.send(world.message("A01", run=OLDER))
    world.send(world.message("A02"))
    assert world.supervisor(idle_seconds=2).run() == 0
    assert world.outcomes() == [("done", "")]
    assert world.runs() == ["A02"]
