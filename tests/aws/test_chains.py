"""Chains of job files: accepted to their end or not at all, and each step begun exactly once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from chalicelib.aws.errors import AwsError
from chalicelib.contract.groups import submission_id
from chalicelib.core.claim import LEASE
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import CellFleetError
from chalicelib.handlers.monitor import tick
from chalicelib.operations import control
from chalicelib.operations.follow import Line, follow_on
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import everything_made, send_event, upload, wells
from tests.aws.test_tick import finish_jobs, remains, status_of

ANALYSIS = "chains/analysis.json"


def illumination(wells: int = 4, **extra: Any) -> dict[str, Any]:
    """The first step, which carries the configuration."""
    return job_file(wells, **{"config": config_keys(), "then": ANALYSIS, **extra})


def accept(world: World, first: dict[str, Any] | None = None, **files: dict[str, Any]) -> str:
    """Put the files of a chain, then upload its first; the run's id."""
    for name, body in ({"analysis": job_file(6)} | files).items():
        world.put(f"chains/{name}.json", body)
    outcome = send_event(world, upload(world, illumination() if first is None else first))
    assert outcome.state == "closed", outcome
    return outcome.run_id


def end(world: World, run_id: str, outcomes: dict[str, str] | None = None) -> RunRecord:
    """Workers do all jobs, and the run is torn down."""
    app = run_id.rsplit("-", 1)[0]
    finish_jobs(world, f"{app}Queue", outcomes)
    status_of(world, run_id)
    record = world.process().runs.load(run_id)
    assert record.phase is Phase.FINISHED
    return record


def runs(world: World) -> list[RunRecord]:
    """All runs, in the order of their beginning."""
    ids = {key.split("/")[1] for key in world.keys("runs/") if key.endswith("/run.json")}
    return sorted(map(world.process().runs.load, ids), key=lambda record: record.created_at)


def mark_of(run_id: str) -> str:
    """Where the mark of the next submission lies."""
    return f"runs/pending/App/{submission_id(BUCKET, ANALYSIS, f'after {run_id}')}.json"


def later(world: World) -> None:
    """Ticks, when SQS has freed the queue's name."""
    world.clock.advance(seconds=LEASE.total_seconds() + 1)
    tick(world.process("later", queue_name_seconds=60.0))


# --- from step to step ---------------------------------------------------------------------------


def test_analysis_follows_illumination(world: World) -> None:
    first = accept(world)
    status = tick_run(world.process("tick"), first)
    assert status is not None
    assert status.next_steps == (
        f"{ANALYSIS} (app App) follows if this run ends without a failed job",
    )
    ended = end(world, first)
    assert ended.went_on == (ANALYSIS,)
    waiting = world.process(queue_name_seconds=60.0)
    assert [o.state for o in resume_all(waiting)] == ["waiting"]  # for the queue's name
    later(world)
    (_, second) = runs(world)
    assert second.run_id != first
    ((name, submission),) = second.submissions.items()
    assert (submission.follows, submission.step, submission.jobs) == (first, 2, 6)
    assert second.start
    assert wells(world.messages("AppQueue")).total() == 6
    assert world.keys("runs/pending/") == []
    assert world.read(f"apps/App/submissions/{name}.json")["state"] == "closed"
    later(world)
    assert len(runs(world)) == 2


def test_the_next_step_may_be_another_apps_with_its_own_configuration(world: World) -> None:
    body = job_file(2, config=config_keys("Analysis", DOCKER_CORES=4, CPU_SHARES=4096))
    first = accept(world, analysis=body)
    end(world, first)
    later(world)
    assert [record.app for record in runs(world)] == ["App", "Analysis"]
    assert len(world.messages("AnalysisQueue")) == 2


def test_a_fleet_file_goes_with_the_chain(world: World) -> None:
    fleet = {
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [{"KeyName": "lab"}],
    }
    end(world, accept(world, illumination(fleet=fleet)))
    later(world)
    assert runs(world)[1].fleet_file == fleet


@pytest.mark.parametrize(
    ("extra", "dead", "follows"),
    [
        ({}, 0, True),
        ({}, 1, False),
        ({"then_if_failed_at_most": 1}, 1, True),
        ({"then_if_failed_at_most": "25%"}, 1, True),
        ({"then_if_failed_at_most": "25%"}, 2, False),
    ],
)
def test_failures_keep_it_from_following(
    world: World, extra: dict[str, Any], dead: int, follows: bool
) -> None:
    first = accept(world, illumination(**extra))
    finish_jobs(world, "AppQueue", {str(well): "dead" for well in range(dead)})
    status = status_of(world, first)
    assert ("doesn't follow" not in status.next_steps[0]) is follows
    later(world)
    assert len(runs(world)) == (2 if follows else 1)
    assert (world.keys("runs/pending/") == []) or follows


def test_a_stopped_run_doesnt_go_on(world: World) -> None:
    first = accept(world)
    control.stop(world.process(), "App")
    status = status_of(world, first)
    assert status.next_steps == (f"{ANALYSIS} (app App) doesn't follow: the run was stopped",)
    later(world)
    assert len(runs(world)) == 1


def test_what_was_handed_on_and_has_not_begun_is_stopped_too(world: World) -> None:
    first = accept(world)
    end(world, first)
    record = control.stop(world.process(), "App")
    assert record is not None
    assert record.halted
    for _ in range(2):
        later(world)
    assert len(runs(world)) == 1
    assert world.keys("runs/pending/") == []
    problems = world.read("refused/App/chains/analysis.json")["problems"]
    assert problems == [f"the run {first}, which it was to follow, was stopped"]


def test_whoever_monitors_is_led_from_run_to_run(world: World) -> None:
    first = accept(world)
    end(world, first)
    services = world.process(queue_name_seconds=60.0)
    rests = []

    def rest() -> None:
        rests.append(world.clock())
        world.clock.advance(seconds=60)

    *lines, second = follow_on(services, first, rest=rest)
    assert lines[0] == Line(f"Next: {ANALYSIS} (app App)")
    assert isinstance(second, RunRecord)
    assert (second.phase, second.jobs) == (Phase.OPEN, 6)
    assert rests
    assert list(follow_on(services, second.run_id, rest=rest)) == []


def test_two_job_files_that_name_the_same_one_are_followed_once(world: World) -> None:
    first = accept(world)
    more = upload(world, job_file(2, then=f"s3://{BUCKET}/{ANALYSIS}"), key="jobs/App/more.json")
    assert send_event(world, more).run_id == first
    end(world, first)
    later(world)
    later(world)
    assert len(runs(world)) == 2
    assert len(world.messages("AppQueue")) == 6


def test_a_file_that_was_changed_meanwhile_is_run_as_it_is_then_and_that_is_told(
    world: World,
) -> None:
    first = accept(world)
    world.put(ANALYSIS, job_file(9))
    end(world, first)
    later(world)
    second = runs(world)[1]
    assert second.jobs == 9
    assert f"{ANALYSIS} was changed after the run {first} had been accepted" in second.notes[-1]


def test_a_file_that_is_gone_meanwhile_is_told_of_at_the_run_before(world: World) -> None:
    topic = world.client("sns").create_topic(Name="lab")["TopicArn"]
    first = accept(world, illumination(config=config_keys(NOTIFY_TOPIC=topic)))
    world.client("s3").delete_object(Bucket=BUCKET, Key=ANALYSIS)
    end(world, first)
    later(world)
    record = world.process().runs.load(first)
    assert f"{ANALYSIS} was to follow, and was refused" in record.notes[-1]
    assert record.notified == ("ended", "next-step-refused")
    assert "is gone" in world.read("refused/App/chains/analysis.json")["problems"][0]
    later(world)
    assert len(runs(world)) == 1


# --- what is refused, with nothing made ----------------------------------------------------------


def link(name: str, **extra: Any) -> dict[str, Any]:
    return job_file(then=f"chains/{name}.json", **extra)


@pytest.mark.parametrize(
    ("first", "files", "problem"),
    [
        ({"then": "chains/none.json"}, {}, "there is no s3://cellfleet-local/chains/none.json"),
        ({"then": "s3://elsewhere/a.json"}, {}, "expected a job file in the bucket"),
        ({}, {"analysis": {"groups": []}}, "then, chains/analysis.json, pipeline"),
        (
            {},
            {"analysis": job_file(groups=[{"Metadata": "A01"}])},
            "then, chains/analysis.json, groups[0]",
        ),
        (
            {},
            {"analysis": job_file(config=config_keys(MEMORY="much"))},
            "then, chains/analysis.json, MEMORY",
        ),
        ({}, {"analysis": link("b")}, 'then of chains/analysis.json is "chains/b.json": there is'),
        ({}, {"analysis": link("analysis")}, "chains/analysis.json -> chains/analysis.json"),
        (
            {},
            {"analysis": link("b"), "b": link("c"), "c": link("b")},
            "then of chains/c.json is \"chains/b.json\": the job files lead in a circle: "
            "chains/b.json -> chains/c.json -> chains/b.json",
        ),
        (
            {},
            {"analysis": link("2")} | {str(n): link(str(n + 1)) for n in range(2, 30)},
            "a chain of more than 20 job files",
        ),
        ({"config": config_keys(WORKER="dcp")}, {}, "DCP's images don't tell which jobs failed"),
    ],
    ids=[
        "missing",
        "elsewhere",
        "no-job-file",
        "wrong-group",
        "wrong-config",
        "missing-later",
        "itself",
        "circle",
        "too-long",
        "dcp",
    ],
)  # fmt: skip
def test_a_chain_that_cant_be_run_to_its_end_is_refused(
    world: World, first: dict[str, Any], files: dict[str, Any], problem: str
) -> None:
    for name, body in ({"analysis": job_file(6)} | files).items():
        world.put(f"chains/{name}.json", body)
    before = everything_made(world)
    outcome = send_event(world, upload(world, illumination(**first)))
    assert outcome.state == "refused"
    assert problem in world.read("refused/App/plate.json")["problems"][0]
    assert everything_made(world) == before


def test_a_chain_of_twenty_is_accepted(world: World) -> None:
    files = {"analysis": link("2")} | {str(n): link(str(n + 1)) for n in range(2, 19)}
    accept(world, **files, **{"19": job_file(1)})


def test_a_chain_that_grows_while_it_runs_ends_at_twenty(world: World) -> None:
    """Each file is replaced by one that goes on, as soon as it was accepted."""
    first = accept(world)
    (late,) = world.process().runs.load(first).submissions.values()
    world.process().runs.change(
        first,
        lambda found: found.model_copy(
            update={"submissions": {"5a": late.model_copy(update={"step": 19, "jobs": 0})}}
        ),
    )
    world.put(ANALYSIS, link("b"))
    world.put("chains/b.json", job_file(1))
    end(world, first)
    later(world)
    assert len(runs(world)) == 1
    problems = world.read("refused/App/chains/analysis.json")["problems"]
    assert "a chain of more than 20 job files" in problems[0]


# --- death ---------------------------------------------------------------------------------------

#: What a process that dies was about to do: a request, and the how-manieth of its kind.
DEATHS = [
    ("PUT {run}", 2),  # the beginning of the teardown
    ("PUT {mark}", 1),  # the mark itself
    ("PUT {run}", 3),  # marked, and not ticked off
    ("PUT {run}", 4),  # ticked off, and not finished
    ("DELETE {live}", 1),  # finished, and still in the index
    ("PUT {status}", 1),
]


@pytest.mark.parametrize(("request_of", "times"), DEATHS)
def test_a_tick_that_dies_anywhere_leads_to_one_next_run(
    world: World, request_of: str, times: int
) -> None:
    first = accept(world)
    finish_jobs(world, "AppQueue")
    place = request_of.format(
        run=f"/{BUCKET}/runs/{first}/run.json",
        status=f"/{BUCKET}/runs/{first}/status.json",
        live=f"/{BUCKET}/live/{first}",
        mark=f"/{BUCKET}/{mark_of(first)}",
    )
    world.wire.cut_at(place, times)
    with contextlib.suppress(CellFleetError, *AwsError):
        tick_run(world.process("dies"), first)
    assert world.wire.is_cut
    world.wire.mend()
    for _ in range(2):
        later(world)
    assert [record.phase for record in runs(world)] == [Phase.FINISHED, Phase.OPEN]
    assert wells(world.messages("AppQueue")).total() == 6
    assert world.keys("runs/pending/") == []


@pytest.mark.parametrize("call", [6, 12, 20, 45, 60])
def test_a_next_submission_that_dies_anywhere_is_made_good(world: World, call: int) -> None:
    end(world, accept(world))
    world.clock.advance(minutes=5)
    world.wire.cut_after(call)
    with contextlib.suppress(CellFleetError, *AwsError):
        list(resume_all(world.process("dies")))
    assert world.wire.is_cut
    world.wire.mend()
    for _ in range(2):
        later(world)
    assert [record.phase for record in runs(world)] == [Phase.FINISHED, Phase.OPEN]
    sent = wells(world.messages("AppQueue"))
    assert len(sent) == 6  # messages may come twice, and are published once
    assert runs(world)[1].jobs == 6


def test_a_mark_that_comes_late_runs_nothing_again(world: World) -> None:
    """The mark was written, taken and done before the writer got round to ticking it off."""
    first = accept(world)
    key = mark_of(first)
    end(world, first)
    mark = world.read(key)
    later(world)
    second = runs(world)[1]
    end(world, second.run_id)
    world.put(key, mark)
    for _ in range(2):
        later(world)
    assert len(runs(world)) == 2
    assert world.keys("runs/pending/") == []
    assert remains(world) == []
