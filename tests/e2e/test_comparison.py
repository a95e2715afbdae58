"""The comparison that users run on their own data notices what differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.plates import STAND_IN, job_file, made_up_plate
from tests.syntax import ROOT

pytestmark = pytest.mark.timeout(600)

#: Tells where it runs in the table of one well: workers get the address of the embedded AWS.
TELLTALE = """
if well == "A02":
    import os
    with Path(option("-o"), "Place.csv").open("w") as file:
        file.write("Where\\n%s\\n" % ("AWS_ENDPOINT_URL" in os.environ))
"""


def test_a_difference_is_told_and_ends_with_1(tmp_path: Path) -> None:
    for key, body in made_up_plate("project", ("A01", "A02")).items():
        path = tmp_path / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    (tmp_path / "job.json").write_text(json.dumps(job_file("project", ("A01", "A02"))))
    telltale = tmp_path / "cellprofiler"
    telltale.write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}\n{TELLTALE}")
    telltale.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    finished = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.compare_with_cellprofiler"),
            *(str(tmp_path / "bucket"), "--job", str(tmp_path / "job.json")),
        ],
        cwd=ROOT,
        env={**kept, "CELLFLEET_CELLPROFILER": str(telltale), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert finished.returncode == 1, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    told = "project/output/P1/A02/Place.csv: row 1, Where: 'True', 'False' in the direct run"
    assert [line for line in lines if "in the direct run" in line] == [told]
    counts = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert counts == [
        ["project/output/P1/A01", "Image.csv", "3", "0"],
        ["project/output/P1/A02", "Image.csv", "3", "0"],
        ["project/output/P1/A02", "Place.csv", "1", "1"],
    ]
