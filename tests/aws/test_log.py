"""What the Lambdas write: lines of JSON that say whose they are, and metrics among them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from chalicelib.aws.log import also, bound
from local.events import LambdaContext
from local.serve import project_app
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import event

SCHEDULED = {
    "version": "0",
    "id": "0",
    "account": "123456789012",
    "region": "us-east-1",
    "time": "2026-03-01T12:00:00Z",
    "source": "aws.events",
    "detail-type": "Scheduled Event",
    "detail": {},
    "resources": [],
}

Lines = Callable[[], list[dict[str, Any]]]


class Stdout:
    """Whatever `sys.stdout` is at the moment: pytest changes it."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """All that was written since the last call, as the Lambda's log would hold it."""
    logger = Logger(service="cellfleet")
    handler: Any = logger.registered_handler
    before, handler.stream = handler.stream, Stdout()
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    handler.stream = before


def invoke(function: str, body: dict[str, Any]) -> Any:
    """As Lambda does."""
    context = LambdaContext(function, "a request", time.monotonic() + 300, Event())
    return project_app().handler_map[function](body, context)


def submit(world: World, app: str, **config: Any) -> str:
    """Upload a job file and run its Lambda; the run's id."""
    key = f"jobs/{app}/plate.json"
    version = world.put(key, job_file(2, config=config_keys(app, **config)))
    invoke("on_job_file", event(key, version))
    (live,) = world.keys(f"live/{app}-")
    return live.removeprefix("live/")


def metrics_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if "_aws" in line]


def test_every_line_of_a_submission_and_of_a_tick_says_whose_it_is(
    world: World, lines: Lines
) -> None:
    runs = {app: submit(world, app) for app in ("First", "Second")}
    told = lines()
    assert {line["message"] for line in told} >= {"done", "submission closed"}
    for line in told:
        assert line["app"] in runs
        assert len(line["submission"]) > 5
        # Lines of the set-up come before there is a run.
        assert line.get("run_id") in (runs[line["app"]], None)
    closed = [line for line in told if line["message"] == "submission closed"]
    assert {line["run_id"] for line in closed} == set(runs.values())

    (record,) = world.keys(f"runs/{runs['First']}/run.json")
    world.put(record, b"broken")
    world.client("ecs").update_service(
        cluster="lab", service="SecondService", desiredCount=0
    )  # something to do
    assert invoke("tick", SCHEDULED)["runs"] == 2

    told = [line for line in lines() if "_aws" not in line]
    assert {(line["run_id"], line["app"], line["message"]) for line in told} == {
        (runs["First"], "First", "tick failed"),
        (runs["Second"], "Second", "done"),
    }
    assert not any("submission" in line for line in told)


def test_each_tick_tells_the_figures_of_each_run(world: World, lines: Lines) -> None:
    submit(world, "Cheap", MACHINE_PRICE=0.25)
    submit(world, "NoPrice", MACHINE_PRICE=None)
    lines()
    invoke("tick", SCHEDULED)

    found = {line["app"]: line for line in metrics_of(lines())}
    assert found.keys() == {"Cheap", "NoPrice"}
    for app, line in found.items():
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "CellFleet"
        assert directive["Dimensions"] == [["app", "deployment"]]
        assert line["deployment"] == BUCKET
        assert line["run_id"].startswith(f"{app}-")
        assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 3600
        named = {metric["Name"] for metric in directive["Metrics"]}
        assert named <= line.keys()
        assert (line["JobsDone"], line["JobsFailed"], line["Errors"]) == ([0], [0], [0])
        assert line["Machines"] == [1]
        assert ("DollarsAnHourAtMost" in named) == (app == "Cheap")
    assert found["Cheap"]["DollarsAnHourAtMost"] == [0.25]


def test_threads_do_not_mix_their_keys_and_all_is_as_before_at_the_end(
    world: World, lines: Lines
) -> None:
    world.keys()  # this room talks to the emulator
    log = Logger(service="cellfleet")

    def work(number: int) -> None:
        with bound(run_id=f"run {number}", app=""):
            for _ in range(50):
                with bound(submission=f"submission {number}"):
                    also(app=f"app {number}")
                    log.info("inside", extra={"number": number})
                log.info("after", extra={"number": number})
        log.info("outside")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    told = lines()
    assert len(told) == 4 * 101
    for line in told:
        number = line.get("number")
        expected = {
            "inside": {f"run {number}", f"submission {number}", f"app {number}"},
            "after": {f"run {number}"},
            "outside": set(),
        }[line["message"]]
        assert {line[key] for key in ("run_id", "submission", "app") if key in line} == expected
