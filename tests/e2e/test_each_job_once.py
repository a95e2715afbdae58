"""Events that come again, uploads that come again, and workers that are killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from local.events import LambdaContext
from local.serve import project_app
from tests.e2e.outside import Outside, end_leases
from tests.e2e.plates import StandIn, config, job_file, made_up_plate, made_up_result

pytestmark = pytest.mark.timeout(900)

WELLS = ("A01", "A02", "B01", "B02")


def lay_out(outside: Outside, project: str) -> None:
    for key, body in made_up_plate(project, WELLS).items():
        outside.put(key, body)


def job_of(outside: Outside, app: str, project: str, **changes: Any) -> dict[str, Any]:
    """A job file with its configuration, for all wells of a project."""
    return {**job_file(project, WELLS), "config": config(app, outside.bucket, **changes)}


def results(project: str) -> dict[str, bytes]:
    return {
        f"{project}/output/P1/{well}/Image.csv": made_up_result(project, well) for well in WELLS
    }


def assert_published(outside: Outside, project: str, times: int) -> None:
    """Every result is right, and was written so many times: a versioned bucket forgets nothing."""
    expected = results(project)
    assert outside.versions(f"{project}/output/") == Counter(dict.fromkeys(expected, times))
    assert {key: outside.read(key) for key in expected} == expected


def uploaded(bucket: str, key: str, version: str) -> dict[str, Any]:
    """The event of an upload, with another sequencer as a second copy may have."""
    what = {"key": key, "versionId": version, "sequencer": "0"}
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": what}}
    return {"Records": [record]}


def test_an_event_that_comes_again_changes_nothing(outside: Outside, stand_in: StandIn) -> None:
    lay_out(outside, "again")
    on_job_file = project_app().handler_map["on_job_file"]
    context = LambdaContext("on_job_file", "again", time.monotonic() + 900, Event())
    version = outside.submit("Again", job_of(outside, "Again", "again"))
    event = uploaded(outside.bucket, "jobs/Again/jobs.json", version)
    with ThreadPoolExecutor(2) as pool:  # two at once, beside the upload's own
        for copy in [pool.submit(on_job_file, event, context) for _ in range(2)]:
            copy.result()

    run = outside.finished("Again")
    on_job_file(event, context)  # and one when all is over

    assert [found["run_id"] for found in outside.runs("Again")] == [run["run_id"]]
    # After a run's end nothing but the export of its logs goes on.
    assert {**outside.finished("Again"), "exports": {}} == {**run, "exports": {}}
    assert len(outside.jobs(run["run_id"])) == len(WELLS)
    assert outside.outcomes(run["run_id"]) == {"done": len(WELLS)}
    assert sorted(stand_in.runs()) == sorted(WELLS)
    assert_published(outside, "again", times=1)


def test_an_upload_on_purpose_runs_again_unless_done_jobs_are_skipped(
    outside: Outside, stand_in: StandIn
) -> None:
    lay_out(outside, "purpose")
    job = job_of(outside, "Purpose", "purpose", CHECK_IF_DONE_BOOL="False", EXPECTED_NUMBER_FILES=1)
    outside.submit("Purpose", job)
    outside.finished("Purpose", runs=1)
    outside.submit("Purpose", job)
    second = outside.finished("Purpose", runs=2)

    assert outside.outcomes(second["run_id"]) == {"done": len(WELLS)}
    assert sorted(stand_in.runs()) == sorted([*WELLS, *WELLS])
    assert_published(outside, "purpose", times=2)

    job["config"]["CHECK_IF_DONE_BOOL"] = "True"
    outside.submit("Purpose", job)
    third = outside.finished("Purpose", runs=3)

    assert outside.outcomes(third["run_id"]) == {"skipped": len(WELLS)}
    assert len(stand_in.runs()) == 2 * len(WELLS)
    assert_published(outside, "purpose", times=2)


def test_killed_workers_lose_no_job(outside: Outside, stand_in: StandIn) -> None:
    lay_out(outside, "killed")
    stand_in.hold(*WELLS)
    job = job_of(outside, "Killed", "killed", CLUSTER_MACHINES=2, DOCKER_CORES=1)
    outside.submit("Killed", job)
    outside.until(lambda: len(stand_in.runs()) == 2)
    interrupted = stand_in.runs()

    # On one machine the worker alone is killed, and started again; the other is lost as a whole.
    machines = outside.fleet.machines
    (left, (container,)), (lost, _) = sorted(machines.processes().items())
    os.kill(child_of(container), signal.SIGKILL)
    outside.until(lambda: machines.processes()[left] not in ([], [container]))
    machines.kill(lost)
    stand_in.release()
    end_leases("KilledQueue")
    run = outside.finished("Killed")

    assert outside.outcomes(run["run_id"]) == {"done": len(WELLS)}
    assert Counter(stand_in.runs()) == Counter([*WELLS, *interrupted])
    assert_published(outside, "killed", times=1)
    assert outside.leftovers() == {}


def child_of(pid: int) -> int:
    """The worker that a container's first process has started."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
