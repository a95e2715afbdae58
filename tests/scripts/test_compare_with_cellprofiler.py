"""What the comparison refuses before anything runs, and what it uploads."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.compare_with_cellprofiler import NOT_TRIED, Task, main

JOB: dict[str, Any] = {
    "pipeline": "project/analysis.cppipe",
    "data_file": "project/load_data.csv",
    "input": "project/",
    "output": "project/output",
    "output_structure": "Metadata_Plate/Metadata_Well",
    "groups": [
        {"Metadata": "Metadata_Plate=P1,Metadata_Well=A01"},
        {"Metadata": "Metadata_Plate=P1,Metadata_Well=A02"},
    ],
}


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    for key in ("analysis.cppipe", "load_data.csv", "images/a.tif", "output/P1/A01/Image.csv"):
        path = folder / "project" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)
    return folder


def job(folder: Path, **changes: Any) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps({**JOB, **changes}))
    return path


def test_the_inputs_are_uploaded_and_earlier_results_are_not(bucket: Path, tmp_path: Path) -> None:
    task = Task.read(bucket, job(tmp_path), None)
    keys = [key for key, _ in task.files()]
    assert keys == [
        "project/analysis.cppipe", "project/images/a.tif", "project/load_data.csv",
    ]  # fmt: skip
    assert [found.folder for found in task.jobs] == [
        "project/output/P1/A01", "project/output/P1/A02",
    ]  # fmt: skip


def test_only_what_bears_on_the_numbers_is_taken_from_the_configuration(
    bucket: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "APP_NAME = 'Big'\nAWS_BUCKET = 'lab'\nCLUSTER_MACHINES = 200\nALWAYS_CONTINUE = 'True'\n"
    )
    embedded = job(tmp_path, config={"AWS_BUCKET": "theirs"}, fleet={"Type": "maintain"})
    upload = Task.read(bucket, embedded, config).upload("here")
    assert upload["config"]["AWS_BUCKET"] == "here"
    assert upload["config"]["CLUSTER_MACHINES"] == 1
    assert upload["config"]["ALWAYS_CONTINUE"] == "True"
    assert {**JOB, "config": upload["config"]} == upload


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data_file": "project/files.txt"}, "expected a LoadData .csv"),
        ({"pipeline": "project/other.cppipe"}, "there is no"),
        ({"output_structure": "Metadata_Plate"}, "name all keys in output_structure"),
        ({"groups": []}, "groups"),
        ({"config": {"AWS_BUCKET": "lab", "USE_PLUGINS": "True"}}, "plugins"),
        ({"config": {"AWS_BUCKET": "lab", "MEMROY": 4}}, "MEMORY"),
    ],
)
def test_what_can_not_be_compared_is_refused_before_anything_runs(
    changes: dict[str, Any],
    said: str,
    bucket: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", "/bin/false")
    assert main([str(bucket), "--job", str(job(tmp_path, **changes))]) == NOT_TRIED
    assert said in capsys.readouterr().out


def test_without_cellprofiler_it_says_so(
    bucket: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CELLFLEET_CELLPROFILER", raising=False)
    monkeypatch.setenv("PATH", "")
    assert main([str(bucket), "--job", str(job(tmp_path))]) == NOT_TRIED
    assert "no CellProfiler" in capsys.readouterr().out
