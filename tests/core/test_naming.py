"""Names: DCP's, exact, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.core.fleet import template_name
from chalicelib.core.naming import Names, app_of, new_run_id, tags
from tests.core.factories import config

APPS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", fullmatch=True)
TIMES = st.integers(0, 10**9).map(lambda s: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=s))


def names_of(app: str, **keys: str) -> Names:
    return Names.of(config(APP_NAME=app, **keys))


def everything(names: Names) -> dict[str, str]:
    """Every name that an app makes or removes, by what it names."""
    return {
        "queue": names.queue,
        "task family": names.task_family,
        "service": names.service,
        "dashboard": names.dashboard,
        "launch template": names.launch_template,
        "second launch template": template_name(names, 1),
        "machine": names.machine,
        "log group": names.log_group,
        "instance log group": names.instance_log_group,
        "instance alarm": names.instance_alarm("i-0123456789abcdef0"),
    }


def test_names_are_dcps() -> None:
    assert everything(names_of("Screen")) == {
        "queue": "ScreenQueue",
        "task family": "ScreenTask",
        "service": "ScreenService",
        "dashboard": "Screen",
        "launch template": "ScreenWorker",
        "second launch template": "ScreenWorker-2",
        "machine": "ScreenWorker",
        "log group": "Screen",
        "instance log group": "Screen_perInstance",
        "instance alarm": "Screen_i-0123456789abcdef0",
    }


def test_names_come_from_the_configuration_not_from_each_other() -> None:
    names = names_of(
        "Screen",
        SQS_QUEUE_NAME="Jobs",
        SQS_DEAD_LETTER_QUEUE="Dead",
        ECS_CLUSTER="imaging",
        LOG_GROUP_NAME="lab/logs",
        AWS_REGION="eu-west-1",
    )
    assert (names.queue, names.dead_letter_queue, names.cluster) == ("Jobs", "Dead", "imaging")
    assert (names.log_group, names.instance_log_group) == ("lab/logs", "lab/logs_perInstance")
    assert (names.service, names.region) == ("ScreenService", "eu-west-1")


@pytest.mark.parametrize(
    ("one", "other"),
    list(combinations(["App", "App2", "MyApp", "AppQueue", "Queue", "QueueQueue"], 2)),
)
def test_apps_whose_names_contain_each_other_share_nothing(one: str, other: str) -> None:
    ours, theirs = everything(names_of(one)), everything(names_of(other))
    assert [kind for kind in ours if ours[kind] == theirs[kind]] == []


@given(APPS, APPS)
def test_different_apps_share_no_name_of_a_kind(one: str, other: str) -> None:
    assume(one != other)
    ours, theirs = everything(names_of(one)), everything(names_of(other))
    assert [kind for kind in ours if ours[kind] == theirs[kind]] == []


def test_a_run_id_says_its_app_and_when() -> None:
    run = new_run_id("My-App", datetime(2024, 3, 1, 9, 30, tzinfo=UTC), "owner")
    assert run.startswith("My-App-20240301T093000")
    assert len(run) == len("My-App-20240301T093000") + 4


@given(APPS, TIMES, st.text(max_size=10))
def test_the_app_of_a_run_id(app: str, now: datetime, salt: str) -> None:
    assert app_of(new_run_id(app, now, salt)) == app


@given(APPS, TIMES, st.text(max_size=10), st.text(max_size=10))
def test_runs_of_an_app_sort_by_time(app: str, now: datetime, one: str, other: str) -> None:
    later = now + timedelta(seconds=1)
    assert new_run_id(app, now, one) < new_run_id(app, later, other)


def test_two_runs_in_one_second_differ() -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    assert new_run_id("App", now, "one") != new_run_id("App", now, "two")


def test_ownership_tags() -> None:
    assert tags(app="App", run_id="App-1", deployment="bucket") == {
        "cellfleet.app": "App",
        "cellfleet.run": "App-1",
        "cellfleet.deployment": "bucket",
    }
