"""The worker with the real CellProfiler: what it must measure, and what it must refuse."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest

from tests.worker.world import CSV, PIPELINE, World, load_data_csv
from worker import loaddata
from worker.failures import JobFailure
from worker.job import work

pytestmark = pytest.mark.cellprofiler

# Prints, for each CSV given, the groups that CellProfiler makes of it: [[values], image sets].
GROUPS = """
import json, sys
from cellprofiler_core.preferences import set_data_file, set_headless
set_headless()
from cellprofiler_core.measurement import Measurements
from cellprofiler_core.modules.loaddata import LoadData
from cellprofiler_core.pipeline import Pipeline
from cellprofiler_core.workspace import Workspace
answers = []
for path, keys in json.load(sys.stdin):
    set_data_file(path)
    module = LoadData()
    module.set_module_num(1)
    module.wants_images.value = True
    module.wants_image_groupings.value = True
    module.metadata_fields.value = ",".join(keys)
    pipeline = Pipeline()
    pipeline.add_module(module)
    measurements = Measurements()
    workspace = Workspace(pipeline, module, measurements, None, measurements, None)
    assert module.prepare_run(workspace)
    _, groups = module.get_groupings(workspace)
    answers.append([[group, len(images)] for group, images in groups])
print(json.dumps(answers))
"""

TABLES = [
    (["X"], [["002"], ["010"], ["2"]]),
    (["X"], [["002"], ["A1"]]),
    (["X"], [["1.50"], ["2"]]),
    (["X"], [["1e3"], ["0.00001"], ["12345678901234567890"]]),
    (["X"], [["2147483648"], ["1"]]),
    (["X"], [["2147483647"], ["-2147483648"]]),
    (["X"], [[" 7"], ["1_000"], ["+5"]]),
    (["X"], [["1.5"], ["2147483648"]]),
    (["X"], [["nan"], ["1"]]),
    (["X"], [["01"], [""]]),
    (["X"], [["a b"], ["é"], ["a/b"]]),
    (["Column"], [["01"], ["02"]]),
    (["Row"], [["01"], ["02"]]),
    (["Well"], [["01"], ["02"]]),
    (["WellColumn", "X"], [["01", "01"], ["02", "02"]]),
]


def python_of(cellprofiler: str) -> str:
    """The interpreter that the `cellprofiler` script names."""
    return Path(cellprofiler).read_text().split("\n", 1)[0][2:].strip()


def test_groups_are_those_that_cellprofiler_makes(cellprofiler: str, tmp_path: Path) -> None:
    questions: list[tuple[str, list[str]]] = []
    for number, (keys, rows) in enumerate(TABLES):
        path = tmp_path / f"{number}.csv"
        with path.open("w") as file:
            writer = csv.writer(file)
            writer.writerow(["FileName_DNA", *(f"Metadata_{key}" for key in keys)])
            writer.writerows(["a.tif", *row] for row in rows)
        questions.append((str(path), keys))
    rows_and_columns = tmp_path / "rows and columns.csv"
    rows_and_columns.write_text(
        "FileName_DNA,Metadata_Row,Metadata_Col\na.tif,A,01\na.tif,A,2\na.tif,B,01\n"
    )
    questions.append((str(rows_and_columns), ["Well"]))
    answer = subprocess.run(
        [python_of(cellprofiler), "-c", GROUPS],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
    )
    for (table, keys), groups in zip(
        questions, json.loads(answer.stdout.splitlines()[-1]), strict=True
    ):
        assert groups, table
        for group, image_sets in groups:
            key_values = tuple((f"Metadata_{key}", group[f"Metadata_{key}"]) for key in keys)
            assert loaddata.select(table, table, key_values).image_sets == image_sets
            with pytest.raises(JobFailure):
                loaddata.select(table, table, ((key_values[0][0], "\x01"), *key_values[1:]))


def test_a_group_is_measured(cellprofiler: str, world: World) -> None:
    work(world.tools(cellprofiler=cellprofiler), world.lease(world.message("A01")))
    assert world.outcomes() == [("done", "")]
    outputs = world.outputs("A01")
    assert sorted(outputs) == ["Image.csv", "Nuclei.csv"]
    images = list(csv.DictReader(outputs["Image.csv"].splitlines()))
    assert [row["Count_Nuclei"] for row in images] == ["9.0", "9.0"]
    # The whole CSV was given, so that the numbers are those of the whole plate.
    assert [row["ImageNumber"] for row in images] == ["1", "2"]
    assert [row["FileName_DNA"] for row in images] == ["A01 s1.tif", "A01 s2.tif"]
    work(world.tools(cellprofiler=cellprofiler), world.lease(world.message("B01")))
    later = list(csv.DictReader(world.outputs("B01")["Image.csv"].splitlines()))
    assert [row["ImageNumber"] for row in later] == ["5", "6"]


def test_relative_paths_start_at_the_input_folder(cellprofiler: str, world: World) -> None:
    world.put(CSV, load_data_csv().replace("/home/ubuntu/bucket/project/", "").encode())
    work(world.tools(cellprofiler=cellprofiler), world.lease(world.message("A01")))
    assert world.outcomes() == [("done", "")]


def test_a_module_that_isn_t_there(cellprofiler: str, world: World) -> None:
    world.put(PIPELINE, world.text(PIPELINE).replace("IdentifyPrimary", "CountSheep").encode())
    work(world.tools(cellprofiler=cellprofiler), world.lease(world.message("A01")))
    assert world.outcomes() == [("dead", "plugin")]
    assert "CountSheepObjects" in world.sentence()
    assert world.outputs("A01") == {}


def test_a_file_that_is_no_image(cellprofiler: str, world: World) -> None:
    world.put("project/images/A01 s2.tif", b"not an image" * 100)
    work(world.tools(cellprofiler=cellprofiler), world.lease(world.message("A01")))
    assert world.outcomes() == [("dead", "input")]
    assert "A01 s2.tif" in world.sentence()
    assert world.outputs("A01") == {}


def test_always_continue_publishes_the_rest_and_says_so(cellprofiler: str, world: World) -> None:
    world.put("project/images/A01 s2.tif", b"not an image" * 100)
    tools = world.tools(cellprofiler=cellprofiler, always_continue=True)
    work(tools, world.lease(world.message("A01")))
    ((entry, body),) = world.ledger()
    assert entry.outcome == "done"
    assert "LoadData" in body["module_errors"][0]
    counts = [
        row["Count_Nuclei"]
        for row in csv.DictReader(world.outputs("A01")["Image.csv"].splitlines())
    ]
    assert counts == ["9.0", ""]
