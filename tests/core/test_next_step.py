"""Which job file follows a run, when, and why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.record import StartNextStep
from chalicelib.core.next_step import decide_next_step, outlook
from chalicelib.core.plan import Action
from chalicelib.core.run import COMPLETE, STOPPED, NextStep, Phase, Result, RunRecord, Submission
from tests.core.factories import DEPLOYMENT, NOW, RUN, config, record, seen
from tests.core.world import World, running

KEY = "chains/analysis.json"


def naming(key: str = KEY, tolerated: int = 0, jobs: int = 96, **fields: Any) -> Submission:
    then = NextStep(key=key, app="Screen", tolerated=tolerated, etag="e7a9")
    return Submission(
        source="s3://b/jobs/Screen/a.json", jobs=jobs, closed=True, then=then, **fields
    )


def run(dead_of: dict[str, int] | None = None, **fields: Any) -> RunRecord:
    result = Result(at=NOW, exact=True, dead_of=dead_of or {})
    values: dict[str, Any] = {
        "phase": Phase.TEARING_DOWN,
        "outcome": COMPLETE,
        "result": result,
        "submissions": {"5a": naming()},
    }
    return record(**(values | fields))


def started(found: RunRecord) -> list[str]:
    plan = decide_next_step(found, config(), seen())
    assert all(isinstance(action, StartNextStep) for action in plan)
    return [action.upload.key for action in plan if isinstance(action, StartNextStep)]


def told(found: RunRecord) -> str:
    (sentence,) = outlook(found, config())
    return sentence


def test_it_is_one_submission_however_often_it_is_handed_on() -> None:
    (first,) = decide_next_step(run(), config(), seen())
    (again,) = decide_next_step(run(notes=("later",)), config(), seen())
    assert first == again
    assert isinstance(first, StartNextStep)
    upload = first.upload
    assert (upload.bucket, upload.key, upload.app) == (DEPLOYMENT, KEY, "Screen")
    assert (upload.follows, upload.step, upload.accepted) == (RUN, 2, "e7a9")
    other = run(run_id="Screen-20240302T000000ffff")
    (later,) = decide_next_step(other, config(), seen())
    assert isinstance(later, StartNextStep)
    assert later.upload.submission != upload.submission


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.ENDING, Phase.FINISHED])
def test_nothing_follows_a_run_that_may_go_on_or_is_over(phase: Phase) -> None:
    assert started(run(phase=phase)) == []


def test_what_was_handed_on_is_not_handed_on_again() -> None:
    assert started(run(went_on=(KEY,))) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": STOPPED}, "the run was stopped"),
        ({"result": None}, "it isn't known how many jobs failed"),
        ({"result": Result(at=NOW, exact=False)}, "it isn't known how many jobs failed"),
        (
            {"dead_of": {"5a": 1}},
            "1 of 96 jobs of s3://b/jobs/Screen/a.json failed, and at most 0 were to. "
            "Once that is mended, upload it below jobs/Screen/",
        ),
    ],
)
def test_why_it_does_not_follow_is_told(changes: dict[str, Any], reason: str) -> None:
    found = run(**changes)
    assert started(found) == []
    assert told(found) == f"{KEY} (app Screen) doesn't follow: {reason}"


def test_some_failures_may_be_tolerated() -> None:
    five = {"5a": naming(tolerated=5)}
    assert started(run({"5a": 5}, submissions=five)) == [KEY]
    assert started(run({"5a": 6}, submissions=five)) == []


def test_each_submission_is_followed_by_its_own_and_a_shared_one_once() -> None:
    submissions = {"5a": naming(), "5b": naming("chains/b.json"), "5c": naming(step=4)}
    found = run(submissions=submissions)
    assert started(found) == [KEY, "chains/b.json"]
    (first, second) = decide_next_step(found, config(), seen())
    assert isinstance(first, StartNextStep)
    assert isinstance(second, StartNextStep)
    assert (first.upload.step, second.upload.step) == (5, 2)
    assert started(run({"5c": 1}, submissions=submissions)) == ["chains/b.json"]


CASES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.integers(0, 4)), max_size=6
)


@given(CASES)
def test_a_file_follows_if_all_that_name_it_have_few_enough_failures(
    cases: list[tuple[str, int, int]],
) -> None:
    submissions = {f"5{n}": naming(key, tolerated) for n, (key, tolerated, _) in enumerate(cases)}
    dead = {f"5{n}": count for n, (_, _, count) in enumerate(cases)}
    expected = {
        key for key, _, _ in cases if all(count <= most for k, most, count in cases if k == key)
    }
    assert set(started(run(dead, submissions=submissions))) == expected
    assert len(outlook(run(dead, submissions=submissions), config())) == len({c[0] for c in cases})


def test_what_is_to_come_is_told_while_the_run_goes_on() -> None:
    found = run(phase=Phase.OPEN, outcome="", result=None)
    assert told(found) == f"{KEY} (app Screen) follows if this run ends without a failed job"
    most = run(phase=Phase.OPEN, outcome="", submissions={"5a": naming(tolerated=5)})
    assert told(most).endswith("follows if this run ends with at most 5 failed jobs")
    (unwatched,) = outlook(found, config(AUTO_MONITOR="False"))
    assert unwatched.endswith("AUTO_MONITOR is off, so that it ends once you monitor it")
    assert told(run()) == f"{KEY} (app Screen) follows"
    assert outlook(record(), config()) == ()


def test_a_run_is_not_finished_before_its_next_step_is_handed_on() -> None:
    world: World = running(2)
    world.remember(
        phase=Phase.TEARING_DOWN,
        outcome=COMPLETE,
        result=Result(at=NOW, exact=True),
        submissions={"5a": naming(jobs=2)},
    )

    def refused(action: Action) -> bool:
        return isinstance(action, StartNextStep)

    for _ in range(5):
        world.tick(refused)
        world.pass_time()
    assert world.record.phase is Phase.TEARING_DOWN
    assert world.remains() == []  # all else is gone nevertheless
    for _ in range(2):
        world.tick()
        world.pass_time()
    assert world.record.phase is Phase.FINISHED
    assert world.record.went_on == (KEY,)
