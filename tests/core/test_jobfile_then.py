"""What a job file may say of the one that is to follow it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.jobfile_then import split, tolerance_fault, tolerated
from tests.core.jobfiles import checked, refusal, texts, written

GROUPS = texts("Metadata_Well=A01")


def header(**keys: Any) -> Any:
    return checked(written(GROUPS, **keys)).header


@pytest.mark.parametrize(
    "then", ["chains/analysis.json", "a.json", "s3://state/chains/b.json", "S3://state/x", ""]
)
def test_a_next_job_file_is_a_key_or_an_address(then: str) -> None:
    assert header(then=then).then == then


def test_without_one_nothing_follows() -> None:
    assert (header().then, header().then_if_failed_at_most) == ("", "")


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("jobs/App/b.json", 'put it elsewhere, for example under "chains/b.json"'),
        ("runs/App-1/run.json", "CellFleet keeps its own files"),
        ("s3://state/submitted/App/b.json", "CellFleet keeps its own files"),
        ("s3://state", "expected a key, or s3://BUCKET/KEY"),
        ("https://state/b.json", "expected a key, or s3://BUCKET/KEY"),
        ("/chains/b.json", "without a / at its ends"),
        ("chains/", "without a / at its ends"),
        ("chains/../b.json", "a path can't hold '..'"),
        ("chains/\x07.json", "a path can't hold the character U+0007"),
        (7, "expected the key of the job file that is to follow"),
        (["chains/b.json"], "expected the key of the job file that is to follow"),
    ],
)
def test_other_names_are_refused(then: Any, reason: str) -> None:
    (problem,) = refusal(written(GROUPS, then=then)).problems
    assert problem.where == "then"
    assert reason in str(problem)


@pytest.mark.parametrize("most", [0, 5, "5", "5%", "0.25%", "100 %"])
def test_failures_are_a_number_or_a_share(most: Any) -> None:
    assert header(then="b.json", then_if_failed_at_most=most).then_if_failed_at_most == str(most)


@pytest.mark.parametrize("most", [-1, 1.5, "101%", "%", "", "many", True, [5], 10**9])
def test_other_numbers_are_refused(most: Any) -> None:
    found = refusal(written(GROUPS, then="b.json", then_if_failed_at_most=most))
    assert [problem.where for problem in found.problems] == ["then_if_failed_at_most"]


def test_a_number_without_a_next_file_is_told_of() -> None:
    found = checked(written(GROUPS, then_if_failed_at_most=5))
    assert found.warnings == ("then_if_failed_at_most has no effect without then",)


@pytest.mark.parametrize(
    ("text", "jobs", "most"),
    [("", 96, 0), ("7", 96, 7), ("5%", 96, 4), ("5%", 19, 0), ("100%", 3, 3), ("0.1%", 1000, 1)],
)
def test_a_share_is_rounded_down(text: str, jobs: int, most: int) -> None:
    assert tolerated(text, jobs) == most


@given(st.integers(0, 100), st.integers(0, 10**6))
def test_a_share_tolerates_no_more_than_it_says(percent: int, jobs: int) -> None:
    assert tolerance_fault(f"{percent}%") is None
    assert tolerated(f"{percent}%", jobs) * 100 <= percent * jobs


def test_an_address_is_taken_apart() -> None:
    assert split("chains/b.json") == ("", "chains/b.json")
    assert split("s3://state/chains/b.json") == ("state", "chains/b.json")
