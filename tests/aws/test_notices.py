"""Notices through SNS: once each, and never in the way of a teardown."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from chalicelib.aws.errors import AwsError
from chalicelib.core.claim import LEASE
from chalicelib.core.run import Phase
from chalicelib.errors import CellFleetError
from chalicelib.handlers.monitor import tick
from chalicelib.handlers.submit import on_job_file
from chalicelib.operations import control
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import send_event, upload
from tests.aws.test_tick import finish_jobs, remains, status_of

ACCOUNT = "123456789012"


@pytest.fixture
def topic(world: World) -> str:
    """A topic that a queue listens to."""
    arn = str(world.client("sns").create_topic(Name="lab")["TopicArn"])
    world.client("sqs").create_queue(QueueName="mailbox")
    world.client("sns").subscribe(
        TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:mailbox"
    )
    return arn


def mail(world: World) -> list[tuple[str, str]]:
    """Subject and text of everything that came."""
    return [(m["Subject"], m["Message"]) for m in world.messages("mailbox", delete=True)]


def run_to_its_end(world: World, outcomes: dict[str, str] | None = None, **keys: Any) -> str:
    run_id = send_event(world, upload(world, job_file(config=config_keys(**keys)))).run_id
    finish_jobs(world, "AppQueue", outcomes)
    return run_id


def test_the_end_of_a_run_is_told_once(world: World, topic: str) -> None:
    run_id = run_to_its_end(world, {"2": "dead"}, NOTIFY_TOPIC=topic)
    assert status_of(world, run_id).phase is Phase.FINISHED
    tick(world.process("tick"))
    ((subject, text),) = mail(world)
    assert subject == "App: 1 of 4 jobs failed"
    assert f"The run {run_id} has ended. 3 of 4 jobs are done, 1 failed." in text
    assert "s3://cellfleet-local/project/output" in text
    record = world.process().runs.load(run_id)
    assert record.notified == ("ended",)
    assert record.result is not None
    assert record.result.exact
    assert list(record.result.dead_of.values()) == [1]


def test_the_deployments_topic_stands_in(world: World, topic: str) -> None:
    services = world.process(topic=topic)
    run_id = on_job_file(services, upload(world))[0].run_id
    control.stop(world.process(), "App")
    status_of(world, run_id)
    ((subject, _),) = mail(world)
    assert subject == "App: stopped, 0 of 4 jobs done"


def test_a_topic_that_is_gone_is_told_of_and_holds_up_nothing(world: World, topic: str) -> None:
    world.client("sns").delete_topic(TopicArn=topic)
    run_id = run_to_its_end(world, NOTIFY_TOPIC=topic)
    status = status_of(world, run_id)
    assert status.phase is Phase.FINISHED
    assert remains(world) == []
    assert len(status.errors) == 1
    assert "send the notice 'ended'" in status.errors[0]


# The record is written as ending, as torn down, as told, as finished; it is read before each.
@pytest.mark.parametrize(
    ("method", "times"), [("PUT", 2), ("PUT", 3), ("PUT", 4), ("GET", 6), ("GET", 7)]
)
def test_a_tick_that_dies_anywhere_tells_the_end_nevertheless(
    world: World, topic: str, method: str, times: int
) -> None:
    run_id = run_to_its_end(world, NOTIFY_TOPIC=topic)
    world.wire.cut_at(f"{method} /{BUCKET}/runs/{run_id}/run.json", times)
    with contextlib.suppress(CellFleetError, *AwsError):
        tick(world.process("dies"))
    world.wire.mend()
    for _ in range(3):
        world.clock.advance(seconds=LEASE.total_seconds() + 1)
        tick(world.process("next"))
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    assert 1 <= len(mail(world)) <= 2  # twice at most: it died between sending and ticking off


def test_stuck_and_cut_down_runs_are_told_while_they_go_on(world: World, topic: str) -> None:
    run_id = send_event(
        world, upload(world, job_file(config=config_keys(NOTIFY_TOPIC=topic)))
    ).run_id
    world.process().runs.change(
        run_id,
        lambda found: found.model_copy(
            update={"machine_limit": 1, "limit_reason": "All failed: input.", "stuck": "No AMI."}
        ),
    )
    for _ in range(2):
        status_of(world, run_id)
    assert sorted(subject for subject, _ in mail(world)) == [
        "App: its machines can't work, and were given up",
        "App: most machines given up, its jobs fail alike",
    ]


def test_a_record_of_before_the_upgrade_takes_a_job_file_with_the_same_config(
    world: World,
) -> None:
    run_id = send_event(world, upload(world)).run_id
    old = json.loads(world.process().runs.load(run_id).to_json())
    del old["config"]["NOTIFY_TOPIC"], old["topic"], old["notified"], old["result"]
    world.put(f"runs/{run_id}/run.json", old)
    outcome = send_event(world, upload(world, key="jobs/App/more.json"))
    assert (outcome.state, outcome.run_id) == ("closed", run_id)
