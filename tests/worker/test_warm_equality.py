"""Warm or by its command line: CellProfiler gives the same files, the same values, the same words."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tifffile

from scripts.comparison import compare_folders
from tests.syntax import ROOT
from tests.worker.test_engine import gone, nothing
from tests.worker.world import DATA, nuclei_image
from worker import engine
from worker.check import Expected, Results, check
from worker.engine import Command
from worker.failures import JobFailure
from worker.warm import WarmEngine

pytestmark = [pytest.mark.cellprofiler, pytest.mark.timeout(600)]

PLAIN = (DATA / "nuclei.cppipe").read_text()
ILLUMINATION = (DATA / "illumination.cppipe").read_text()
SAVED = (DATA / "saved.cppipe").read_text()


@dataclass(frozen=True)
class Case:
    """A pipeline that groups by `keys`, the metadata of its CSV's rows, and the group to run.
    `broken` are numbers of rows, from 1, whose image is none."""

    pipeline: str
    keys: str
    metadata: str
    rows: tuple[str, ...]
    group: str
    broken: tuple[int, ...] = ()

    def command(self, folder: Path, cellprofiler: str) -> Command:
        """The job, its files being in a new folder."""
        folder.mkdir()
        pipeline = folder / "a pipeline.cppipe"
        pipeline.write_text(self.pipeline.replace("grouping:Well", f"grouping:{self.keys}"))
        with (folder / "load_data.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            names = [f"Metadata_{name}" for name in self.metadata.split(",")]
            writer.writerow([*names, "FileName_DNA", "PathName_DNA"])
            for number, row in enumerate(self.rows, 1):
                writer.writerow([*row.split(","), f"{number} a.tif", folder])
                image = nuclei_image((1 + number) ** 2)
                tifffile.imwrite(folder / f"{number} a.tif", image)
        for number in self.broken:
            (folder / f"{number} a.tif").write_bytes(b"not an image" * 100)
        return Command(
            executable=cellprofiler,
            pipeline=pipeline,
            input=folder,
            output=folder / "output",
            done=folder / "done",
            temporary=folder,
            data_file=folder / "load_data.csv",
            group=self.group,
        )


CASES = {
    "a plate, whose rows lie apart": Case(
        PLAIN, "Plate", "Plate,Site", ("P2,1", "P1,1", "P2,2", "P1,2"), "Metadata_Plate=P2"
    ),
    "a well of row and column": Case(
        PLAIN, "Well", "Row,Column,Site", ("A,01,1", "B,02,1", "B,02,2"), "Metadata_Well=B02"
    ),
    "padded numbers": Case(
        PLAIN,
        "Position",
        "Position,Dose,Note",
        ("002,1,01", "010,2.50,x", "010,3,02"),
        "Metadata_Position=10",
    ),
    "a column that one row makes text": Case(
        PLAIN,
        "Position",
        "Position,Dose,Note",
        ("002,1e3,é", "010,7,1", "A1,0.00001,2147483648"),
        "Metadata_Position=010",
    ),
    "tables named after the well": Case(
        PLAIN.replace("File name:", r"File name:\g<Well> of \g<Plate>, "),
        "Plate",
        "Plate,Well",
        ("P1,A01", "P2,A01", "P2,B01"),
        "Metadata_Plate=P2",
    ),
    "saved images and all tables": Case(
        SAVED, "Plate,Well", "Plate,Well,Site", ("P1,A01,1", "P1,A02,1", "P1,A02,2"),
        "Metadata_Plate=P1,Metadata_Well=A02",
    ),
    "illumination over a group": Case(
        ILLUMINATION, "Plate", "Plate,Site", ("1,1", "02,1", "02,2", "02,3"), "Metadata_Plate=2"
    ),
    "an image set left out": Case(
        PLAIN, "Plate", "Plate", ("P1", "P2", "P2"), "Metadata_Plate=P2", broken=(2,)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def warm(cellprofiler: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmEngine]:
    """One engine for all cases, so that what one leaves behind would show in the next."""
    engine = WarmEngine(cellprofiler, tmp_path_factory.mktemp("warm"), time.monotonic)
    yield engine
    engine.close()


def run(command: Command, warm: WarmEngine | None, folder: str) -> tuple[Path, Results]:
    """Run a command, warm or not, into a folder of its own."""
    output = command.input / folder
    output.mkdir()
    command = replace(command, output=output)
    log: list[str] = []
    if warm:
        finished = warm.run(command, 300, nothing, log.append)
        assert not [line for line in log if "for this job alone" in line]
    else:
        finished = engine.run(command, 300, nothing, log.append, time.monotonic)
    return output, check(finished, output, Expected(None, "", command.always_continue))


@pytest.mark.parametrize("name", CASES)
def test_every_file_and_every_value(
    name: str, warm: WarmEngine, cellprofiler: str, tmp_path: Path
) -> None:
    case = CASES[name]
    command = case.command(tmp_path / "job", cellprofiler)
    command = replace(command, always_continue=bool(case.broken))
    direct, told = run(command, None, "direct")
    assert told.files
    for attempt in ("first", "second"):
        ours, results = run(command, warm, attempt)
        compared = compare_folders(ours, direct)
        assert [(file.name, file.told) for file in compared if file.differences] == []
        assert sum(file.values for file in compared) > 50
        assert results.files == told.files
        assert len(results.module_errors) == len(told.module_errors) == len(case.broken)


def test_other_files_of_the_same_names(warm: WarmEngine, cellprofiler: str, tmp_path: Path) -> None:
    """Users upload images and pipelines anew, and run the same jobs again."""
    command = CASES["a plate, whose rows lie apart"].command(tmp_path / "job", cellprofiler)
    before, _ = run(command, warm, "before")
    for number in range(1, 5):
        tifffile.imwrite(command.input / f"{number} a.tif", nuclei_image(9, 230))
    text = command.pipeline.read_text().replace("(Min,Max):8,30", "(Min,Max):9,40")
    command.pipeline.write_text(text)
    ours, _ = run(command, warm, "after")
    direct, _ = run(command, None, "direct")
    assert [file.told for file in compare_folders(ours, direct) if file.differences] == []
    assert [file for file in compare_folders(ours, before) if file.differences]


BAD = {
    "an image that is none": replace(CASES["a plate, whose rows lie apart"], broken=(1,)),
    "objects that nothing makes": Case(
        PLAIN.replace("Data to export:Nuclei", "Data to export:Sheep"),
        "Plate",
        "Plate",
        ("P1", "P2"),
        "Metadata_Plate=P2",
    ),
    "an image that nothing loads": Case(
        PLAIN.replace("input image:DNA", "input image:RNA"),
        "Plate",
        "Plate",
        ("P1", "P2"),
        "Metadata_Plate=P2",
    ),
    "a module that isn't there": Case(
        PLAIN.replace("IdentifyPrimary", "CountSheep"),
        "Plate",
        "Plate",
        ("P1", "P2"),
        "Metadata_Plate=P2",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_the_same_words_for_a_failure(
    name: str, warm: WarmEngine, cellprofiler: str, tmp_path: Path
) -> None:
    command = BAD[name].command(tmp_path / "job", cellprofiler)
    with pytest.raises(JobFailure) as direct:
        run(command, None, "direct")
    with pytest.raises(JobFailure) as ours:
        run(command, warm, "warm")
    assert (ours.value.cause, ours.value.sentence.replace("/warm", "/direct")) == (
        direct.value.cause,
        direct.value.sentence,
    )


# Prints, for each pipeline given and modules to add to it, why it can't be run warm.
UNSUITED = """
import json, sys
sys.path.append(sys.argv[1])
from cellprofiler_core.preferences import set_headless
set_headless()
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module
from worker.warm_image_sets import load, unsuited
fill_modules()
answers = []
for path, more in json.load(sys.stdin):
    pipeline = load(path)
    for name in more:
        module = instantiate_module(name)
        module.set_module_num(len(pipeline.modules()) + 1)
        pipeline.add_module(module)
    answers.append(unsuited(pipeline))
print(json.dumps(answers))
"""

_EXPERIMENT = PLAIN.replace("Data to export:Nuclei", "Data to export:Experiment")
SUITED: list[tuple[str, list[str], str]] = [
    (PLAIN, [], ""),
    (SAVED, [], ""),
    (ILLUMINATION, ["MeasureImageQuality", "MeasureObjectSkeleton", "SaveImages"], ""),
    (_EXPERIMENT, [], ""),
    (
        _EXPERIMENT.replace("File name:Nuclei.csv", r"File name:\g<Well>.csv"),
        [],
        "it names the experiment's table after the metadata of the first image set",
    ),
    (
        PLAIN.replace("by metadata?:Yes", "by metadata?:No"),
        [],
        "its LoadData doesn't load and group images",
    ),
    (
        PLAIN.replace("location:Default Input Folder|\n    Process", "location:Default Output Folder|\n    Process"),
        [],
        "its LoadData takes images from the output folder",
    ),
    (
        PLAIN.replace("enabled:True", "enabled:False", 1),
        [],
        "the pipeline doesn't begin with LoadData",
    ),
    *(
        (PLAIN, [name], f"{name} prepares itself for all image sets at once")
        for name in ("ExportToDatabase", "CreateBatchFiles", "LoadData", "NamesAndTypes", "Groups")
    ),
]  # fmt: skip


def test_which_pipelines_need_the_command_line(warm: WarmEngine, tmp_path: Path) -> None:
    asked = []
    for number, (text, more, _) in enumerate(SUITED):
        path = tmp_path / f"{number}.cppipe"
        path.write_text(text)
        asked.append((str(path), more))
    answer = subprocess.run(
        [warm.python, "-c", UNSUITED, str(ROOT)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout.splitlines()[-1]) == [why for _, _, why in SUITED]


WORKER = """
import sys, time
from pathlib import Path
from worker.warm import Process
process = Process(sys.argv[1], Path(sys.argv[2]))
while not isinstance(process.line(), dict): pass
print(process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_its_worker(warm: WarmEngine, tmp_path: Path) -> None:
    """Whatever kills the worker, no CellProfiler stays behind."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, warm.python, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    process = worker.stdout.readline().decode().strip()
    assert not gone_now(process)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    assert gone(process)


def gone_now(process: str) -> bool:
    return not Path(f"/proc/{process}").exists()
