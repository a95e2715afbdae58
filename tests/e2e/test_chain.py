"""Two steps that run unattended: the second reads what the first has made."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from chalicelib.contract import BUCKET_MOUNT
from tests.e2e.outside import Outside
from tests.e2e.plates import (
    StandIn,
    config,
    job_file,
    made_up_plate,
    made_up_result,
    pipeline,
    table,
)

pytestmark = pytest.mark.timeout(600)

WELLS = ("A01", "A02")


def test_the_second_step_runs_on_the_results_of_the_first(
    outside: Outside, stand_in: StandIn
) -> None:
    for key, body in made_up_plate("first", WELLS).items():
        outside.put(key, body)
    made = f"{BUCKET_MOUNT}/first/output/P1"
    rows = [("P1", well, "Image.csv", f"{made}/{well}") for well in WELLS]
    header = ("Metadata_Plate", "Metadata_Well", "FileName_DNA", "PathName_DNA")
    outside.put("second/workspace/load_data.csv", table(header, rows))
    outside.put("second/workspace/pipeline.cppipe", pipeline())
    outside.put("chains/second.json", json.dumps(job_file("second", WELLS)).encode())

    first = {**job_file("first", WELLS), "config": config("Chain", outside.bucket)}
    outside.submit("Chain", {**first, "then": "chains/second.json"})
    outside.finished("Chain", runs=2)

    one, two = outside.runs("Chain")
    assert one["went_on"] == ["chains/second.json"]
    ((_, submission),) = two["submissions"].items()
    assert (submission["follows"], submission["step"]) == (one["run_id"], 2)
    for run in (one, two):
        assert outside.outcomes(run["run_id"]) == {"done": len(WELLS)}
    for well in WELLS:
        made_first = outside.read(f"first/output/P1/{well}/Image.csv")
        assert made_first == made_up_result("first", well)
        content = sha256(made_first).hexdigest()
        assert content in outside.read(f"second/output/P1/{well}/Image.csv").decode()
    assert sorted(stand_in.runs()) == sorted(WELLS * 2)
    assert outside.leftovers() == {}
