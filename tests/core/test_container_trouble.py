"""What ECS says when containers don't work, told apart and in plain words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.ailment import CONTAINERS, FATAL, SLOW, WAIT, Ailment, StoppedTask
from chalicelib.core.container_trouble import STEADY_AFTER, container_ailments, not_joined
from chalicelib.core.observation import ServiceView
from tests.core.factories import NOW, config, service

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cellfleet-worker:0.1.0_4.2.8"


def stopped(**fields: Any) -> StoppedTask:
    return StoppedTask(**({"at": NOW, "code": "EssentialContainerExited"} | fields))


def troubles(*tasks: StoppedTask, at: ServiceView | None = None, **keys: Any) -> list[Ailment]:
    return list(container_ailments(tasks, at or service(), config(**keys), IMAGE, NOW))


FAILED = {"code": "TaskFailedToStart"}
STARTS = [
    (
        "CannotPullContainerError: API error (404): repository x/worker not found",
        "worker-image",
        FATAL,
    ),
    (
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): toomanyrequests:"
        " You have reached your pull rate limit.",
        "pull-limit",
        SLOW,
    ),
    (
        "CannotPullContainerError: Error response from daemon: Get https://registry-1.docker.io/v2/"
        ": net/http: request canceled while waiting for connection",
        "image-access",
        FATAL,
    ),
    (
        "CannotPullContainerError: write /var/lib/docker/tmp/GetImageBlob1: no space left on "
        "device",
        "disk",
        FATAL,
    ),
    (
        "CannotStartContainerError: Error response from daemon: failed to initialize logging "
        "driver: failed to create Cloudwatch log stream: AccessDeniedException",
        "logs",
        FATAL,
    ),
    (
        "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/x' that was provided "
        "for this task.",
        "task-role",
        FATAL,
    ),
    ("CannotCreateContainerError: API error (500): devmapper", "start", FATAL),
]


@pytest.mark.parametrize(("said", "kind", "course"), STARTS)
def test_each_failed_start_is_told_apart(said: str, kind: str, course: str) -> None:
    for task in (stopped(**FAILED, reason=said), stopped(**FAILED, container_reason=said)):
        (found,) = troubles(task)
        assert (found.kind, found.course, found.where) == (kind, course, CONTAINERS)
        assert said[:20] in found.sentence
        assert "{" not in found.sentence


def test_a_missing_image_is_named() -> None:
    (found,) = troubles(stopped(**FAILED, reason="CannotPullContainerError: not found"))
    assert IMAGE in found.sentence


def test_containers_killed_for_their_memory_say_which_key() -> None:
    killed = "OutOfMemoryError: Container killed due to memory usage"
    (found,) = troubles(*[stopped(exit_code=137, container_reason=killed)] * 3, MEMORY=7500)
    assert (found.kind, found.course) == ("memory", SLOW)
    assert "MEMORY of 7500 MiB" in found.sentence


def test_a_crash_loop_says_the_exit_code_and_where_the_log_is() -> None:
    tasks = [stopped(exit_code=n, at=NOW + timedelta(seconds=n)) for n in (1, 2, 3)]
    (found,) = troubles(*tasks)
    assert (found.kind, found.course) == ("crash", SLOW)
    assert "exit code 3" in found.sentence
    assert "Screen_perInstance" in found.sentence


def test_a_loop_on_a_few_of_many_machines_leaves_the_fleet_alone() -> None:
    (found,) = troubles(*[stopped(exit_code=1)] * 3, at=service(desired=50, running=40))
    assert found.course == WAIT


@pytest.mark.parametrize(
    "task",
    [
        {"exit_code": 0},  # idle for long
        {"exit_code": 143, "code": "ServiceSchedulerInitiated"},
        {"exit_code": 137, "code": "SpotInterruption"},
        {"exit_code": 137, "code": "TerminationNotice"},
        {"exit_code": 1, "code": "UserInitiated"},
        {"exit_code": None, "reason": "Host EC2 (instance i-0) terminated."},
        {"exit_code": 137, "reason": "Host EC2 (instance i-0) terminated."},
    ],
)
def test_ends_that_were_meant_are_no_trouble(task: dict[str, Any]) -> None:
    assert troubles(*[stopped(**task)] * 5) == []


def test_containers_that_have_run_for_long_since_are_in_no_loop() -> None:
    crashes = [stopped(exit_code=1, at=NOW - STEADY_AFTER - timedelta(seconds=1))] * 3
    assert troubles(*crashes, at=service(desired=2, running=1)) == []
    # ECS waits longer and longer before it starts one again: none is up meanwhile.
    assert [a.kind for a in troubles(*crashes, at=service(desired=2, running=0))] == ["crash"]


def test_one_crash_is_no_loop() -> None:
    assert troubles(stopped(exit_code=1)) == []


UNPLACED = (
    "(service ScreenService) was unable to place a task because no container instance met all of "
    "its requirements. The closest matching (container-instance 4f2a) has insufficient {} "
    "available."
)


@pytest.mark.parametrize(("what", "key"), [("memory", "MEMORY"), ("CPU units", "CPU_SHARES")])
def test_containers_too_large_for_the_machine(what: str, key: str) -> None:
    view = service(desired=2, events=((NOW, UNPLACED.format(what)),))
    (found,) = troubles(at=view, MACHINE_TYPE="p3.2xlarge")
    assert (found.kind, found.course) == ("fit", FATAL)
    assert key in found.sentence
    assert "p3.2xlarge" in found.sentence


def test_containers_of_which_some_fit_are_only_told_of() -> None:
    view = service(desired=2, running=1, events=((NOW, UNPLACED.format("memory")),))
    (found,) = troubles(at=view, TASKS_PER_MACHINE=2, MACHINE_TYPE="p3.2xlarge")
    assert (found.kind, found.course) == ("fit", WAIT)


def test_a_service_in_order_says_nothing() -> None:
    steady = ((NOW, "(service ScreenService) has reached a steady state."),)
    assert troubles(at=service(events=steady)) == []


def test_machines_that_never_join_are_told_of() -> None:
    found = not_joined(config(ECS_CLUSTER="imaging"), NOW)
    assert (found.kind, found.course) == ("join", SLOW)
    assert "imaging" in found.sentence
