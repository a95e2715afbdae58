"""Leases: kept while a job runs, given up when they are lost, returned without cost."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import contract
from tests.worker.world import World
from worker.failures import Cancelled
from worker.queue import Heartbeat, LeaseLost, QueueGone, Stop


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_lease_hides_the_message(world: World) -> None:
    lease = world.lease("a body")
    assert (lease.body, lease.receives) == ("a body", 1)
    assert world.queued() == (0, 1)
    assert world.queue().receive() is None


def test_the_receives_are_counted(world: World) -> None:
    lease = world.lease("a body")
    world.queue().extend(lease, 0)
    assert world.lease().receives == 2


def test_giving_back_hides_the_message_for_a_minute(world: World) -> None:
    hidden = []
    queue = world.queue()
    lease = world.lease("a body")
    queue.extend = lambda _, seconds: hidden.append(seconds)  # type: ignore[method-assign, assignment, misc]
    queue.give_back(lease)
    assert hidden == [60]
    assert world.queued() == (0, 1)


def test_passing_on_costs_no_receive(world: World) -> None:
    lease = world.lease("a body")
    world.queue().pass_on(lease, "a copy")
    assert world.queued() == (1, 0)
    again = world.lease()
    assert (again.body, again.receives) == ("a copy", 1)


def test_the_dead_letters_get_the_body_unchanged(world: World) -> None:
    lease = world.lease("a body")
    assert world.queue().send_to_dead_letters(lease)
    assert world.dead() == ["a body"]
    assert world.queued() == (0, 1)


def test_a_deleted_dead_letter_queue_doesn_t_stop_the_run(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.dead_letter_url)
    assert not world.queue().send_to_dead_letters(world.lease("a body"))


def test_a_deleted_queue_means_that_the_run_was_stopped(world: World) -> None:
    lease = world.lease("a body")
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    with pytest.raises(QueueGone):
        world.queue().receive()
    with pytest.raises(QueueGone):
        world.queue().extend(lease)
    with pytest.raises(QueueGone):
        world.queue().delete(lease)


def test_a_receipt_that_is_no_longer_good(world: World) -> None:
    lease = world.lease("a body")
    world.queue().delete(lease)
    with pytest.raises(LeaseLost):
        world.queue().extend(lease)
    world.queue().give_back(lease)
    world.queue().delete(lease)


class Refusing:
    """A queue whose extensions end as told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.extended = 0

    def extend(self, _: Any) -> None:
        if self.error:
            raise self.error
        self.extended += 1


def heartbeat(queue: Any, clock: Clock, stop: Stop | None = None) -> Heartbeat:
    return Heartbeat(queue, None, stop or Stop(clock), clock)  # type: ignore[arg-type]


def test_a_beat_extends_the_lease(clock: Clock) -> None:
    queue, beats = Refusing(), []
    heart = heartbeat(queue, clock)
    heart.beats.append(lambda: beats.append(clock.now))
    clock.now += 100
    assert heart.beat()
    clock.now += contract.LEASE_SECONDS - 1
    heart.check()
    assert queue.extended == len(beats) == 1
    clock.now += 1
    with pytest.raises(Cancelled, match="lease lost"):
        heart.check()


def test_a_beat_that_fails_doesn_t_end_the_others(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KeyError("in a beat")

    beats: list[float] = []
    heart = heartbeat(Refusing(), clock)
    heart.beats += [fail, lambda: beats.append(clock.now)]
    assert heart.beat()
    assert heart.beat()
    assert len(beats) == 2
    assert "in a beat" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "reason"), [(LeaseLost(), "lease lost"), (QueueGone(), "run stopped")]
)
def test_a_lost_lease_cancels_the_job(error: Exception, reason: str, clock: Clock) -> None:
    queue = Refusing()
    heart = heartbeat(queue, clock)
    heart.check()
    queue.error = error
    heart.beat()
    with pytest.raises(Cancelled, match=reason):
        heart.check()


def test_an_extension_that_fails_is_tried_again_until_the_lease_has_run_out(clock: Clock) -> None:
    queue = Refusing()
    queue.error = OSError("no network")
    heart = heartbeat(queue, clock)
    assert not heart.beat()
    heart.check()
    clock.now += contract.LEASE_SECONDS
    with pytest.raises(Cancelled, match="lease lost"):
        heart.check()


def test_an_order_to_stop_interrupts_after_the_grace(clock: Clock) -> None:
    stop = Stop(clock)
    heart = heartbeat(Refusing(), clock, stop)
    stop.set("SIGTERM")
    stop.set("later reason")
    assert stop.reason == "SIGTERM"
    heart.check(grace=8)
    with pytest.raises(Cancelled, match="interrupted"):
        heart.check()
    clock.now += 8
    with pytest.raises(Cancelled, match="interrupted"):
        heart.check(grace=8)


def test_an_order_at_once_leaves_no_grace(clock: Clock) -> None:
    stop = Stop(clock)
    stop.set("SIGTERM")
    assert not stop.given(grace=80)
    clock.now += 3
    stop.set("the run was stopped", at_once=True)
    assert stop.given(grace=80)
    assert (stop.reason, stop.age()) == ("SIGTERM", 3)
