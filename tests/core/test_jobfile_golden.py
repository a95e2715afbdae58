"""Job files as users write them: the messages they become, or the reasons why they don't.

`CELLFLEET_UPDATE_GOLDEN=1 pytest …` writes what is found; the diff is then for review.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core import jobfile
from chalicelib.errors import JobFileError

FILES = Path(__file__).parent.parent / "golden" / "jobfiles"
ACCEPTED = sorted(FILES.glob("*.json"))
REFUSED = sorted((FILES / "refused").glob("*.json"))


def hold(golden: Path, found: str) -> None:
    if os.environ.get("CELLFLEET_UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_what_a_job_file_becomes(path: Path) -> None:
    def open_stream() -> Any:
        return path.open("rb")

    file = jobfile.check(open_stream, path.name, check_if_done=False)
    jobs = list(jobfile.iter_jobs(open_stream, file.header, run="Fly-1", submission="5u8"))
    found = {
        "jobs": file.jobs,
        "duplicates": file.duplicates,
        "warnings": file.warnings,
        "kind": file.header.kind,
        "config": file.header.config,
        "fleet": file.header.fleet,
    }
    lines = [json.dumps(found, indent=1, ensure_ascii=False), *(job.body for job in jobs)]
    hold(path.with_suffix(".golden"), "\n".join(lines) + "\n")


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_why_a_job_file_is_refused(path: Path) -> None:
    check_if_done = "check_if_done" in path.stem
    with pytest.raises(JobFileError) as refused:
        jobfile.check(lambda: path.open("rb"), path.name, check_if_done=check_if_done)
    hold(path.with_suffix(".golden"), f"{refused.value}\n")
