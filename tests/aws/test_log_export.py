"""Logs of finished runs against the emulator: exported once, in turn, and refusals explained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.core.run import Phase
from chalicelib.handlers.monitor import tick
from chalicelib.operations.log_export import export_all
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import event, send_event
from tests.aws.test_tick import finish_jobs

EXPORT = "Logs_20140328.CreateExportTask"


@pytest.fixture(autouse=True)
def _today(world: World) -> None:
    """CloudWatch takes no events that are older than two weeks."""
    world.clock.moment = datetime.now(UTC)


def finished_run(world: World, app: str = "App", *, logs: bool = True) -> str:
    """A run that has ended, with a line in each of its log groups; its id."""
    key = f"jobs/{app}/plate.json"
    sent = event(key, world.put(key, job_file(config=config_keys(app, LOG_GROUP_NAME=app))))
    run_id = send_event(world, sent).run_id
    for group in (app, f"{app}_perInstance") if logs else ():
        write(world, group, "CellProfiler says hello")
    finish_jobs(world, f"{app}Queue")
    world.clock.advance(seconds=30)
    tick_run(world.process("tick"), run_id)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    return run_id


def write(world: World, group: str, line: str) -> None:
    logs = world.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName="P1-0")
    stamp = int(world.clock().timestamp() * 1000) + 1000
    logs.put_log_events(
        logGroupName=group,
        logStreamName="P1-0",
        logEvents=[{"timestamp": stamp, "message": line}],
    )


def passes(world: World, count: int) -> None:
    for _ in range(count):
        world.clock.advance(minutes=1)
        tick(world.process("tick"))


def states(world: World, run_id: str) -> dict[str, str]:
    return {g: e.state for g, e in world.process().runs.load(run_id).exports.items()}


def exported(world: World) -> list[str]:
    return [key for key in world.keys("exportedlogs/") if key.endswith(".gz")]


def tasks(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client("logs").describe_export_tasks()["exportTasks"]
    return found


def test_both_groups_are_exported_one_after_the_other(world: World) -> None:
    run_id = finished_run(world)
    assert world.keys("runs/exporting/") == [f"runs/exporting/{run_id}"]
    passes(world, 6)
    assert states(world, run_id) == {"App": "done", "App_perInstance": "done"}
    assert world.keys("runs/exporting/") == []
    assert [key.split("/")[1] for key in exported(world)] == ["App", "App_perInstance"]
    assert len(tasks(world)) == 2
    passes(world, 2)
    assert len(tasks(world)) == 2


def test_two_runs_take_turns(world: World) -> None:
    runs = [finished_run(world, app) for app in ("App", "Other")]
    passes(world, 12)
    assert [set(states(world, run_id).values()) for run_id in runs] == [{"done"}, {"done"}]
    assert len(tasks(world)) == 4


def test_a_limit_that_only_the_answer_tells_is_no_failure(world: World) -> None:
    run_id = finished_run(world)
    world.wire.refuse(EXPORT, "LimitExceededException", "Resource limit exceeded.")
    passes(world, 3)
    record = world.process().runs.load(run_id)
    assert "another export" in record.exports["App"].told
    assert not any("exported" in note for note in record.notes)
    world.wire.mend()
    passes(world, 6)
    assert set(states(world, run_id).values()) == {"done"}


def test_runs_without_logs_ask_for_nothing(world: World) -> None:
    run_id = finished_run(world, logs=False)
    passes(world, 1)
    assert set(states(world, run_id).values()) == {"empty"}
    assert tasks(world) == []
    assert world.keys("runs/exporting/") == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterException", "GetBucketAcl call on the given bucket failed."),
        ("AccessDeniedException", "User is not authorized to perform logs:CreateExportTask."),
    ],
)
def test_a_refusal_names_the_policy_once_and_heals(world: World, code: str, message: str) -> None:
    run_id = finished_run(world)
    sent = len(world.wire.seen)
    world.wire.refuse(EXPORT, code, message)
    passes(world, 5)
    notes = [n for n in world.process().runs.load(run_id).notes if "exported" in n]
    assert len(notes) == 2  # one for each group
    assert all(message in note and "s3:GetBucketAcl" in note for note in notes)
    assert world.wire.seen[sent:].count(EXPORT) == 2
    world.wire.mend()
    world.clock.advance(hours=1)
    passes(world, 6)
    assert set(states(world, run_id).values()) == {"done"}


def test_it_is_given_up_after_a_day(world: World) -> None:
    run_id = finished_run(world)
    world.wire.refuse(EXPORT, "AccessDeniedException", "no")
    passes(world, 2)
    world.clock.advance(hours=24)
    passes(world, 1)
    assert set(states(world, run_id).values()) == {"given-up"}
    assert world.keys("runs/exporting/") == []


def test_a_process_that_dies_after_the_request_asks_no_second_time(world: World) -> None:
    run_id = finished_run(world)
    world.clock.advance(minutes=1)
    sent = len(world.wire.seen)
    world.wire.cut_at("Logs_20140328.CreateExportTask")
    list(export_all(world.process("dies")))  # told in the log
    world.wire.mend()
    assert world.wire.seen[sent:].count(EXPORT) >= 1
    passes(world, 8)
    assert set(states(world, run_id).values()) == {"done"}
    assert len(tasks(world)) == 2


def test_a_run_whose_record_is_gone_is_forgotten(world: World) -> None:
    world.put("runs/exporting/App-20260101T0000000000", b"")
    passes(world, 1)
    assert world.keys("runs/exporting/") == []


def test_the_deployment_can_do_without(world: World) -> None:
    send_event(
        world,
        event("jobs/App/p.json", world.put("jobs/App/p.json", job_file(config=config_keys()))),
    )
    finish_jobs(world, "AppQueue")
    tick(world.process("tick", export_logs=False))
    assert world.keys("runs/exporting/") == []
