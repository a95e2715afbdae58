"""Groups that can't be run end as dead letters that say why; the others, and the run, go on."""

from __future__ import annotations

import pytest

from tests.e2e.outside import Outside
from tests.e2e.plates import config, job_file, rendered_plate

pytestmark = [pytest.mark.cellprofiler, pytest.mark.timeout(600)]

PROJECT = "screen"
GOOD, MISSING, TRUNCATED, UNKNOWN = ("A01", "A02"), "A03", "B01", "B02"


@pytest.mark.usefixtures("cellprofiler")
def test_bad_groups_die_and_the_others_finish(outside: Outside) -> None:
    objects = rendered_plate(PROJECT, [*GOOD, MISSING, TRUNCATED])
    del objects[f"{PROJECT}/images/{MISSING} Actin.tif"]
    cut = f"{PROJECT}/images/{TRUNCATED} DNA.tif"
    objects[cut] = objects[cut][: len(objects[cut]) // 3]
    for key, body in objects.items():
        outside.put(key, body)

    job = job_file(PROJECT, [*GOOD, MISSING, TRUNCATED, UNKNOWN])
    outside.submit("Failures", {**job, "config": config("Failures", outside.bucket)})
    run = outside.finished("Failures")

    assert run["outcome"] == "complete"
    ledger = outside.ledger(run["run_id"])
    ended = {body["group"]["Metadata_Well"]: (entry, body["sentence"]) for entry, body in ledger}
    assert len(ledger) == 5, "bad groups are not tried twice"
    assert {well: entry.outcome for well, (entry, _) in ended.items()} == {
        **dict.fromkeys(GOOD, "done"),
        **dict.fromkeys((MISSING, TRUNCATED, UNKNOWN), "dead"),
    }
    assert {ended[well][0].cause for well in (MISSING, TRUNCATED, UNKNOWN)} == {"input"}
    assert f"{PROJECT}/images/{MISSING} Actin.tif" in ended[MISSING][1]
    assert "there is no" in ended[MISSING][1]
    assert cut in ended[TRUNCATED][1]
    assert "the file ends at" in ended[TRUNCATED][1]
    assert f"Metadata_Well={UNKNOWN}" in ended[UNKNOWN][1]
    assert "load_data.csv" in ended[UNKNOWN][1]

    letters = {body["Metadata"] for body in outside.dead_letters(run["run_id"])}
    assert letters == {
        f"Metadata_Plate=P1,Metadata_Well={well}" for well in (MISSING, TRUNCATED, UNKNOWN)
    }
    tables = ("Cells.csv", "Image.csv", "Nuclei.csv")
    assert set(outside.versions(f"{PROJECT}/output/")) == {
        f"{PROJECT}/output/P1/{well}/{name}"
        for well in GOOD
        for name in (*tables, f"{well}_s1_outlines.png")
    }
    assert outside.leftovers() == {}
