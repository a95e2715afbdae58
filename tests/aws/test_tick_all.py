"""A pass over all live runs: in turn, none kept waiting by another, within a Lambda's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.naming import app_of
from chalicelib.errors import DeadlineError
from chalicelib.handlers.monitor import tick
from chalicelib.operations.tick_all import tick_all
from tests.aws.conftest import World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import event, send_event

APPS = ("A", "B", "C")


@dataclass(frozen=True)
class Passing:
    """A clock on which every tick of a run takes a minute, from the request number `start` on."""

    world: World
    start: int

    def __call__(self) -> datetime:
        seen = self.world.wire.seen[self.start :]
        ticked = {
            name for name in seen if name.startswith("PUT ") and name.endswith("/status.json")
        }
        return self.world.clock() + timedelta(minutes=len(ticked))


def submit(world: World, *apps: str) -> None:
    for app in apps:
        key = f"jobs/{app}/plate.json"
        body = job_file(2, config=config_keys(app))
        assert send_event(world, event(key, world.put(key, body))).state == "closed"


def lambda_of(world: World, minutes: float, owner: str = "first") -> Services:
    """A process with so much time, on a clock that each run's tick moves by a minute."""
    return replace(
        world.process(owner),
        now=Passing(world, start=len(world.wire.seen)),
        deadline=world.clock() + timedelta(minutes=minutes),
    )


def ticked(run: Callable[[], object], world: World) -> list[str]:
    """The apps whose runs were ticked, in order, by what reached AWS."""
    start = len(world.wire.seen)
    run()
    leases = [name for name in world.wire.seen[start:] if name.endswith("/status.json")]
    apps = [app_of(name.split("/runs/")[1].split("/")[0]) for name in leases]
    return list(dict.fromkeys(apps))


def until_its_end(services: Services) -> None:
    with pytest.raises(DeadlineError):
        list(tick_all(services))


def test_all_live_runs_are_ticked(world: World) -> None:
    submit(world, *APPS)
    statuses = list(tick_all(world.process("monitor")))

    assert [app_of(status.run_id) for status in statuses] == list(APPS)
    assert [status.jobs for status in statuses] == [2, 2, 2]
    assert world.keys(keys.NEXT_RUN) == []


def test_a_pass_out_of_time_stops_cleanly_and_the_next_one_begins_there(world: World) -> None:
    submit(world, *APPS)
    first = ticked(lambda: until_its_end(lambda_of(world, 2)), world)
    world.clock.advance(minutes=5)
    second = ticked(lambda: until_its_end(lambda_of(world, 2)), world)

    assert first + second == ["A", "B", "C", "A"]
    world.clock.advance(minutes=5)
    third = ticked(lambda: list(tick_all(lambda_of(world, 30))), world)
    assert third == ["B", "C", "A"]
    world.clock.advance(minutes=5)
    assert ticked(lambda: list(tick_all(lambda_of(world, 30))), world) == list(APPS)


def test_one_runs_trouble_does_not_keep_the_others_waiting(world: World) -> None:
    submit(world, *APPS)
    (broken,) = (key for key in world.keys("runs/A-") if key.endswith("/run.json"))
    world.put(broken, b"not a record")

    statuses = list(tick_all(world.process("monitor")))

    assert [app_of(status.run_id) for status in statuses] == list(APPS)
    assert "tick:" in statuses[0].errors[0]
    assert [status.errors for status in statuses[1:]] == [(), ()]


def test_ticks_leave_time_for_submissions_that_wait(world: World) -> None:
    submit(world, *APPS)
    world.wire.cut_at("AmazonSQS.SendMessageBatch")
    body = job_file(2, config=config_keys("D"))
    with pytest.raises(ClientError):
        send_event(world, event("jobs/D/plate.json", world.put("jobs/D/plate.json", body)))
    world.wire.mend()
    world.clock.advance(minutes=5)

    counts = tick(lambda_of(world, 4.9, owner="monitor"))

    assert counts["runs"] == 3, "there is a fourth"
    assert counts["submissions"] == 1
    assert len(world.messages("DQueue")) == 2
