"""Where everything lies in the buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import contract
from chalicelib.core import keys
from chalicelib.core.keys import JobFileKey


@pytest.mark.parametrize(
    ("key", "app", "name"),
    [
        ("jobs/Screen/plate1.json", "Screen", "plate1"),
        ("jobs/Screen/2024/plate 1.json", "Screen", "2024/plate 1"),
        ("jobs/My-App_2/a.b.json", "My-App_2", "a.b"),
        ("jobs/Screen/UPPER.JSON", "Screen", "UPPER"),
        ("jobs/Screen/Überblick.json", "Screen", "Überblick"),
    ],
)
def test_a_job_files_key_says_its_app_and_name(key: str, app: str, name: str) -> None:
    assert JobFileKey.parse(key) == JobFileKey(app=app, name=name)


@pytest.mark.parametrize(
    "key",
    [
        "jobs/plate1.json",
        "jobs/Screen/plate1.csv",
        "jobs/Screen/.json",
        "jobs/Screen/",
        "jobs//plate1.json",
        "jobs/-App/plate1.json",
        "jobs/My App/plate1.json",
        f"jobs/{'A' * 61}/plate1.json",
        "myjobs/Screen/plate1.json",
        "refused/Screen/plate1.json",
        "jobs/Screen/plate1.json.bak",
        "jobs/Screen/plate1.json\n",
        "",
    ],
)
def test_what_is_no_job_file(key: str) -> None:
    assert JobFileKey.parse(key) is None


@given(st.text(max_size=20))
def test_any_key_is_taken_whole_or_not_at_all(tail: str) -> None:
    found = JobFileKey.parse(f"jobs/Screen/{tail}.json")
    assert found is None or found == JobFileKey(app="Screen", name=tail)


def test_nothing_that_we_write_could_trigger_us_again() -> None:
    written = [
        keys.refusal("Screen", "plate1"),
        keys.app_config("Screen"),
        keys.app_run("Screen"),
        keys.claim("Screen", "5u8"),
        keys.pending("Screen", "5u8"),
        keys.live("Screen-1"),
        keys.run_record("Screen-1"),
        keys.run_status("Screen-1"),
        keys.job_list("Screen-1", "5u8", 0),
        keys.monitor_file("Screen"),
        keys.ecs_config("Screen"),
        contract.commit_key("Screen-1", "5u8", "0a"),
        contract.ledger_prefix("Screen-1"),
    ]
    assert len(written) == len(set(written))
    assert [key for key in written if key.startswith(keys.JOB_FILES)] == []


def test_the_layout() -> None:
    assert keys.refusal("Screen", "2024/plate1") == "refused/Screen/2024/plate1.json"
    assert keys.app_config("Screen") == "apps/Screen/config.json"
    assert keys.live("Screen-1") == "live/Screen-1"
    assert keys.run_record("Screen-1") == "runs/Screen-1/run.json"
    assert keys.run_status("Screen-1") == "runs/Screen-1/status.json"
    assert keys.monitor_file("Screen") == "monitors/ScreenSpotFleetRequestId.json"
    assert keys.ecs_config("Screen") == "ecsconfigs/Screen_ecs.config"


def test_indexes_list_what_they_should_and_no_more() -> None:
    assert keys.live("Screen-1").startswith(keys.LIVE)
    assert keys.pending("Screen", "5u8").startswith(keys.PENDING)
    # An app may be named "pending"; its runs are not pending submissions.
    assert not keys.run_record("pending-20240301T0930004f2a").startswith(keys.PENDING)


@given(st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=5))
def test_job_lists_sort_by_their_first_job(firsts: list[int]) -> None:
    by_key = sorted(firsts, key=lambda first: keys.job_list("Screen-1", "5u8", first))
    assert by_key == sorted(firsts)
