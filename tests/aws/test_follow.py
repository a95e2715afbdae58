"""A run followed and stopped from the command line, beside the deployed monitor or without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import run as commands
from chalicelib.contract import DEAD, DONE
from chalicelib.core.run import STOPPED, Phase
from chalicelib.errors import UnreadableError
from chalicelib.handlers.monitor import tick
from chalicelib.operations import control
from chalicelib.operations.follow import follow
from chalicelib.operations.setup import set_up
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import send_event, upload
from tests.aws.test_tick import finish_jobs, remains

EXPORT = "Logs_20140328.CreateExportTask"


@pytest.fixture(autouse=True)
def _today(world: World) -> None:
    """CloudWatch takes no events that are older than two weeks."""
    world.clock.moment = datetime.now(UTC)


def live_run(world: World, **keys: Any) -> str:
    return send_event(world, upload(world, job_file(config=config_keys(**keys)))).run_id


def resting(world: World, *steps: Callable[[], object]) -> Callable[[], None]:
    """A rest in which a minute goes by, and one thing after the other happens; never for ever."""
    left = list(steps)
    rests = 0

    def rest() -> None:
        nonlocal rests
        rests += 1
        assert rests < 30, "it goes on for ever"
        world.clock.advance(minutes=1)
        if left:
            left.pop(0)()

    return rest


def told(world: World, run_id: str, *steps: Callable[[], object], logs: bool = True) -> list[str]:
    lines = follow(world.process("user"), run_id, rest=resting(world, *steps), logs=logs)
    return [line.text for line in lines]


def log_line(world: World, group: str) -> None:
    logs, stamp = world.client("logs"), int(world.clock().timestamp() * 1000)
    logs.create_log_stream(logGroupName=group, logStreamName="P1-0")
    logs.put_log_events(
        logGroupName=group,
        logStreamName="P1-0",
        logEvents=[{"timestamp": stamp, "message": "hello"}],
    )


# --- monitor -------------------------------------------------------------------------------------


def test_a_run_is_told_to_its_end_and_its_logs_are_waited_for(world: World) -> None:
    run_id = live_run(world)
    log_line(world, "App")
    lines = told(world, run_id, lambda: finish_jobs(world, "AppQueue"))
    assert any(line.startswith("In process: 0 Pending 4") for line in lines)
    assert "Scaled up: 0 -> 2 machines" in lines
    assert any(line.startswith("Scaled down: ") for line in lines)
    assert f"Run {run_id} is complete; nothing of it is left running." in lines
    assert lines[-1] == f"Logs of App: exported to s3://{BUCKET}/exportedlogs/App/"
    assert len(lines) == len(set(lines))
    assert remains(world) == []


def test_a_refused_export_is_told_and_not_waited_for(world: World) -> None:
    run_id = live_run(world)
    log_line(world, "App")
    world.wire.refuse(EXPORT, "InvalidParameterException", "GetBucketAcl failed.")
    lines = told(world, run_id, lambda: finish_jobs(world, "AppQueue"))
    assert "Logs of App: refused: GetBucketAcl failed." in lines


def test_two_monitors_take_turns(world: World) -> None:
    """The other's tick may be the one that ends the run: what it saw is read from the status."""
    run_id = live_run(world)

    def deployed() -> None:
        finish_jobs(world, "AppQueue")
        for _ in range(3):
            tick(world.process("deployed"))

    lines = told(world, run_id, deployed, logs=False)
    assert any("complete" in line for line in lines)
    assert remains(world) == []


def test_with_auto_monitor_off_nothing_ends_unless_somebody_watches(world: World) -> None:
    run_id = live_run(world, AUTO_MONITOR="False")
    finish_jobs(world, "AppQueue")
    standing = remains(world)
    for _ in range(3):
        world.clock.advance(minutes=1)
        tick(world.process("deployed"))
    assert remains(world) == standing
    control.watch(world.process("user"), "App", cheapest=False)
    assert control.unwatch(world.process("user"), run_id) is False  # Ctrl-C
    tick(world.process("deployed"))
    assert remains(world) == standing
    control.watch(world.process("user"), "App", cheapest=False)
    told(world, run_id, logs=False)
    assert remains(world) == []


def test_with_auto_monitor_on_a_run_goes_on_when_nobody_watches(world: World) -> None:
    run_id = live_run(world)
    control.watch(world.process("user"), "App", cheapest=False)
    assert control.unwatch(world.process("user"), run_id) is True


# --- stop ----------------------------------------------------------------------------------------


def test_stop_purges_and_removes_everything(world: World) -> None:
    run_id = live_run(world)
    record = control.stop(world.process("user"), "App")
    assert record is not None
    assert (record.phase, record.outcome) == (Phase.ENDING, STOPPED)
    assert world.messages("AppQueue") == []
    lines = told(world, run_id, logs=False)
    assert any("stopped; nothing of it is left" in line for line in lines)
    assert remains(world) == []


def test_stop_may_be_repeated_in_every_phase(world: World) -> None:
    live_run(world)
    seen = []
    for _ in range(4):
        record = control.stop(world.process("user"), "App")
        assert record is not None
        seen.append(record.phase)
        tick_run(world.process("user"), record.run_id)
    assert seen[0] is Phase.ENDING
    assert seen[-1] is Phase.FINISHED
    assert remains(world) == []


def test_an_app_that_was_never_set_up_has_nothing_to_stop(world: World) -> None:
    assert control.stop(world.process("user"), "Nobody") is None
    world.put("apps/Unborn/run.json", {"run_id": "Unborn-20260101T0000000000"})
    assert control.stop(world.process("user"), "Unborn") is None


@pytest.mark.parametrize("requests", range(4, 40, 5))
def test_a_set_up_that_died_half_way_can_be_stopped(world: World, requests: int) -> None:
    from chalicelib.core.config import parse_keys

    world.wire.cut_after(requests)
    with pytest.raises(Exception, match=r"."):
        set_up(world.process("dies"), parse_keys(config_keys(), "test"))
    world.wire.mend()
    record = control.stop(world.process("user"), "App")
    if record is not None:
        told(world, record.run_id, logs=False)
        assert world.process().runs.load(record.run_id).phase is Phase.FINISHED
    assert remains(world) == []


def test_a_record_that_cant_be_read_is_named_with_what_to_do(world: World) -> None:
    run_id = live_run(world)
    world.put(f"runs/{run_id}/run.json", b"{")
    with pytest.raises(UnreadableError, match=r"sweep --lost"):
        control.stop(world.process("user"), "App")


def test_a_queue_that_isnt_the_runs_any_more_is_not_purged(world: World) -> None:
    live_run(world)
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    sqs.untag_queue(QueueUrl=url, TagKeys=["cellfleet.deployment"])
    control.stop(world.process("user"), "App")
    assert len(world.messages("AppQueue")) == 4


# --- as commands ---------------------------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder without a configuration; the environment names the bucket."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELLFLEET_MONITOR_SECONDS", "0")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("outcome", "code"), [(DONE, 0), (DEAD, 3)])
def test_monitor_ends_with_what_became_of_the_jobs(
    world: World, outcome: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("monitor.json").write_text('{"MONITOR_APP_NAME": "App"}')
    live_run(world)
    finish_jobs(world, "AppQueue", {"0": outcome})
    assert commands.main(["monitor", "monitor.json"]) == code
    assert "nothing of it is left running" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_ctrl_c_leaves_the_run_and_says_who_looks_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    Path("monitor.json").write_text('{"MONITOR_APP_NAME": "App"}')
    run_id = live_run(world, AUTO_MONITOR="False")
    assert commands.main(["monitor", "monitor.json"]) == 130
    assert "python run.py stop App" in capsys.readouterr().err
    record = world.process().runs.load(run_id)
    assert (record.phase, record.monitored) == (Phase.OPEN, False)


@pytest.mark.usefixtures("folder")
def test_stop_waits_until_nothing_is_left_unless_told_not_to(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    live_run(world)
    assert commands.main(["stop", "App", "--no-wait"]) == 0
    assert "ticks remove what is left" in capsys.readouterr().out
    assert commands.main(["stop", "App"]) == 0
    assert "stopped; nothing of it is left" in capsys.readouterr().out
    assert remains(world) == []
    assert commands.main(["stop", "Nobody"]) == 0


@pytest.mark.usefixtures("folder")
def test_sweep_shows_a_table(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["sweep", "--dry-run"]) == 0
    assert "Nothing is left over" in capsys.readouterr().out
    live_run(world)
    finish_jobs(world, "AppQueue")
    tick(world.process("tick"))

    def long_ago(record: Any) -> Any:
        return record.model_copy(update={"ended_at": datetime(2026, 1, 1, tzinfo=UTC)})

    world.process().runs.change(world.read("apps/App/run.json")["run_id"], long_ago)
    world.client("sqs").create_queue(QueueName="AppQueue")
    assert commands.main(["sweep", "--dry-run"]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "stays queue AppQueue has our name but not our tags: left alone" in shown
