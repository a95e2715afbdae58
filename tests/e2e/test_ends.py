"""However a run goes, it ends clean, soon, and says what it was."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from chalicelib.aws.services import Services
from chalicelib.operations import control
from tests.e2e.outside import Outside, end_leases
from tests.e2e.plates import config, job_file, pipeline, rendered_plate
from tests.e2e.processes import below, command
from tests.e2e.ticks import tick_until, ticks_to_finish

pytestmark = [
    pytest.mark.cellprofiler,
    pytest.mark.usefixtures("cellprofiler"),
    pytest.mark.timeout(600),
]

WELLS = ("A01", "A02", "B01")
RESULTS = ("Cells.csv", "Image.csv", "Nuclei.csv")


def submit(outside: Outside, app: str, objects: dict[str, bytes], **changes: object) -> None:
    """Put a project's objects, then a job file for all wells with its configuration. Each job starts
    CellProfiler anew: one that is warm has done a well before anything can happen to it."""
    for key, body in objects.items():
        outside.put(key, body)
    keys = config(app, outside.bucket, **{"DOCKER_CORES": 1, "ENGINE": "cli", **changes})
    outside.submit(app, {**job_file(app.lower(), WELLS), "config": keys})


def at_work(outside: Outside) -> str:
    """A machine on which CellProfiler is running; "" if there is none."""
    for machine, containers in outside.fleet.machines.processes().items():
        for pid in containers:
            if any("cellprofiler" in command(child) for child in below(pid)):
                return machine
    return ""


def busy(outside: Outside) -> str:
    """Wait until CellProfiler is well under way somewhere; the machine."""
    machine: str = outside.until(lambda: at_work(outside))
    time.sleep(1.0)
    assert at_work(outside) == machine, "its job is too short to be interrupted"
    return machine


def gone(outside: Outside, machine: str) -> bool:
    return machine not in outside.fleet.machines.processes()


def all_ended(outside: Outside, app: str, **outcomes: int) -> bool:
    runs = outside.runs(app)
    return bool(runs) and outside.outcomes(runs[-1]["run_id"]) == outcomes


def assert_complete(outside: Outside, app: str) -> None:
    """Every result is there, and was written once: a versioned bucket forgets nothing."""
    expected = {
        f"{app.lower()}/output/P1/{well}/{name}": 1
        for well in WELLS
        for name in (*RESULTS, f"{well}_s1_outlines.png")
    }
    assert outside.versions(f"{app.lower()}/output/") == Counter(expected)


def test_a_machine_that_spot_takes_back_in_the_middle_of_a_job(outside: Outside) -> None:
    submit(outside, "Interrupted", rendered_plate("interrupted", WELLS))
    machine = busy(outside)
    with outside.fleet.dispatcher.by_hand() as tick:
        outside.fleet.machines.interrupt(machine, seconds=4.0)
        outside.until(lambda: gone(outside, machine))
        assert outside.outcomes(outside.runs("Interrupted")[0]["run_id"])["done"] < len(WELLS)
        done = {"done": len(WELLS)}  # and nothing else: no try was used up
        tick_until(outside, tick, lambda: all_ended(outside, "Interrupted", **done))
        ticks_to_finish(outside, tick, "Interrupted")

    (run,) = outside.runs("Interrupted")
    assert run["outcome"] == "complete"
    assert_complete(outside, "Interrupted")
    assert outside.leftovers() == {}


def test_a_machine_that_is_lost_in_the_middle_of_a_job(outside: Outside) -> None:
    submit(outside, "Lost", rendered_plate("lost", WELLS))
    machine = busy(outside)
    with outside.fleet.dispatcher.by_hand() as tick:
        outside.fleet.machines.kill(machine)
        outside.until(lambda: gone(outside, machine))
        end_leases("LostQueue")
        tick_until(outside, tick, lambda: all_ended(outside, "Lost", done=len(WELLS)))
        ticks_to_finish(outside, tick, "Lost")

    (run,) = outside.runs("Lost")
    assert run["outcome"] == "complete"
    assert_complete(outside, "Lost")
    assert outside.leftovers() == {}


def test_a_run_that_its_user_stops(outside: Outside) -> None:
    submit(outside, "Unwanted", rendered_plate("unwanted", WELLS))
    busy(outside)
    with outside.fleet.dispatcher.by_hand() as tick:
        control.stop(Services.from_environment(), "Unwanted")
        ticks_to_finish(outside, tick, "Unwanted")

    (run,) = outside.runs("Unwanted")
    assert run["outcome"] == "stopped"
    assert outside.outcomes(run["run_id"])["done"] < len(WELLS)
    assert outside.leftovers() == {}
    # moto's machines are gone at once; the processes here are still being ended.
    outside.until(lambda: not outside.fleet.machines.processes())
    assert at_work(outside) == ""


def test_a_run_whose_jobs_all_fail_alike(outside: Outside) -> None:
    objects = rendered_plate("hopeless", WELLS)
    objects["hopeless/workspace/pipeline.cppipe"] = pipeline().replace(
        b"Select the input image:DNA", b"Select the input image:Nothing", 1
    )
    submit(outside, "Hopeless", objects, JOB_RETRIES=1, EARLY_STOP_AFTER=2)
    with outside.fleet.dispatcher.by_hand() as tick:
        tick_until(outside, tick, lambda: all_ended(outside, "Hopeless", dead=len(WELLS)))
        ticks_to_finish(outside, tick, "Hopeless")

    (run,) = outside.runs("Hopeless")
    assert run["outcome"] == "complete"
    (cause,) = {entry.cause for entry, _ in outside.ledger(run["run_id"])}
    assert run["machine_limit"] == 1
    assert f"first 2 jobs of this run failed, of the same cause ({cause})" in run["limit_reason"]
    assert run["limit_reason"] in run["notes"]
    assert len(outside.dead_letters(run["run_id"])) == len(WELLS)
    assert outside.keys("hopeless/output/") == []
    assert outside.leftovers() == {}
