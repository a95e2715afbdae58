"""A corpus of bad inputs: each gets its class and a sentence, and none is counted as done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.worker.world import CSV, DATA, PIPELINE, World, load_data_csv
from worker.job import work

JPEG = (DATA / "baseline.jpg").read_bytes()
IMAGE = "project/images/A01 s2.tif"
HEADER = "FileName_DNA,PathName_DNA,Metadata_Well,Metadata_Site\n"
FOLDER = "/home/ubuntu/bucket/project/images"

Spoil = Callable[[World], None]


@dataclass(frozen=True)
class Bad:
    """What is wrong, the class and words it has to get, and how the job and the worker differ."""

    spoil: Spoil
    cause: str
    says: str
    message: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


def nothing(_: World) -> None:
    """The message or the worker is what is wrong."""


def image(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda world: world.put(IMAGE, change((world.folder / "image.tif").read_bytes()))


def csv(text: str) -> Spoil:
    return lambda world: world.put(CSV, text.encode())


def table(old: str, new: str) -> Spoil:
    """The CSV with something replaced."""
    text = load_data_csv()
    assert old in text
    return csv(text.replace(old, new))


def pipeline(old: str, new: str) -> Spoil:
    """The pipeline with something replaced."""

    def spoil(world: World) -> None:
        text = world.text(PIPELINE)
        assert old in text
        world.put(PIPELINE, text.replace(old, new).encode())

    return spoil


def whole_pipeline(content: bytes) -> Spoil:
    return lambda world: world.put(PIPELINE, content)


def without_end(world: World) -> None:
    text = world.text(PIPELINE)
    world.put(PIPELINE, text[: text.index("ExportToSpreadsheet:")].encode())


def batch_files(world: World) -> None:
    text = world.text(PIPELINE).replace("ModuleCount:3", "ModuleCount:4")
    world.put(PIPELINE, f"{text}\nCreateBatchFiles:[module_num:4|enabled:True|]\n".encode())


def no_image(world: World) -> None:
    world.s3.delete_object(Bucket=world.bucket, Key=IMAGE)


#: Found before CellProfiler is started.
EARLY = {
    "a missing image": Bad(no_image, "input", f"row 2, channel DNA: {FOLDER}/A01 s2.tif: there is"),
    "an empty image": Bad(image(lambda _: b""), "input", "A01 s2.tif is an empty file"),
    "half a TIFF": Bad(image(lambda data: data[: len(data) // 2]), "input", "A01 s2.tif is damaged"),
    "a TIFF's first bytes": Bad(image(lambda data: data[:6]), "input", "A01 s2.tif is damaged"),
    "a TIFF whose directory lies nowhere": Bad(
        image(lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:]), "input", "s2.tif is damaged"
    ),
    "half a JPEG": Bad(image(lambda _: JPEG[: len(JPEG) // 2]), "input", "damaged (JPEG: the file"),
    "a missing bucket": Bad(
        nothing, "input", "there is no bucket no-such-bucket",
        environment={"source_bucket": "no-such-bucket"},
    ),
    "a path outside the bucket": Bad(
        table(FOLDER, "/mnt/data/images"), "input", "not below /home/ubuntu/bucket, where"
    ),
    "a Windows path": Bad(
        table(FOLDER, "C:\\data\\images"), "input", "C:\\data\\images/A01 s1.tif"
    ),
    "a missing data file": Bad(
        nothing, "input", "The data file: there is no s3://", message={"data_file": "project/no.csv"}
    ),
    "an empty data file": Bad(csv(""), "input", "The data file: s3://"),
    "a data file of empty lines": Bad(csv("\n\n"), "input", "is empty: it has no header"),
    "a header alone": Bad(csv(HEADER), "input", "no rows"),
    "a spreadsheet": Bad(
        nothing, "input", "expected a LoadData .csv", message={"data_file": "project/table.xlsx"}
    ),
    "bytes that are no text": Bad(csv("\x00\x01\x02,\x00\n\x00\n"), "input", "load_data.csv"),
    "a row that is too short": Bad(
        csv(HEADER + "A01 s1.tif\n"), "input", "Row 1 of project/load_data.csv has 1 fields"
    ),
    "a blank file name": Bad(
        csv(HEADER + f",{FOLDER},A01,1\n"), "input", "Row 1 of project/load_data.csv names no file"
    ),
    "a folder without a file": Bad(
        table("FileName_DNA", "File_DNA"), "input", "no FileName_DNA to go with it"
    ),
    "a column that isn't there": Bad(
        table("Metadata_Well", "Metadata_Hole"), "input", "has no column Metadata_Well"
    ),
    "a group that isn't there": Bad(
        nothing, "input", "its values are A01, A02, B01", message={"group": (("Metadata_Well", "C1"),)}
    ),
    "a padded group": Bad(
        csv(HEADER + f"a.tif,{FOLDER},001,1\n"), "input", "so write 1",
        message={"group": (("Metadata_Well", "001"),)},
    ),
    "a missing pipeline": Bad(
        nothing, "input", "The pipeline: there is no s3://", message={"pipeline": "none.cppipe"}
    ),
    "an empty pipeline": Bad(whole_pipeline(b""), "input", "nuclei.cppipe is an empty file"),
    "something else for a pipeline": Bad(
        whole_pipeline(b"{}"), "pipeline", "nuclei.cppipe is not a CellProfiler pipeline"
    ),
    "a pipeline cut off": Bad(without_end, "pipeline", "announces 3 modules and holds 2"),
    "a pipeline for batch files": Bad(batch_files, "pipeline", "CreateBatchFiles enabled"),
    "another grouping": Bad(
        pipeline("grouping:Well", "grouping:Site"), "pipeline", "groups by Metadata_Site"
    ),
    "no grouping": Bad(pipeline("metadata?:Yes", "metadata?:No"), "pipeline", "groups by nothing"),
    "plugins that the image lacks": Bad(
        nothing, "plugin", "CellProfiler-plugins", environment={"use_plugins": True}
    ),
}  # fmt: skip

#: Only CellProfiler finds these.
LATE = {
    "random bytes": Bad(image(lambda _: bytes(range(256)) * 40), "input", "A01 s2.tif"),
    "a text": Bad(image(lambda _: b"not an image " * 100), "input", "A01 s2.tif"),
    "a module that isn't there": Bad(
        pipeline("IdentifyPrimary", "CountSheep"), "plugin", "the module CountSheepObjects"
    ),
    "an image that nothing loads": Bad(
        pipeline("input image:DNA", "input image:RNA"), "pipeline", "uses the image RNA"
    ),
    "columns of no image": Bad(
        csv("Metadata_Well,Metadata_Site\nA01,1\n"), "pipeline", "the image DNA"
    ),
    "objects that nothing makes": Bad(
        pipeline("export:Nuclei", "export:Sheep"), "pipeline", "Module ExportToSpreadsheet"
    ),
    "nothing that exports": Bad(
        pipeline("show_window:False|notes:[]|batch_state:array([], dtype=uint8)|enabled:True|"
                 "wants_pause:False]\n    Select the column",
                 "show_window:False|notes:[]|batch_state:array([], dtype=uint8)|enabled:False|"
                 "wants_pause:False]\n    Select the column"),
        "pipeline", "no module that exports",
    ),
    "a column without a name": Bad(
        csv(
            load_data_csv().replace(",Metadata_Well", ",,Metadata_Well").replace(",A01,", ",1,A01,")
            .replace(",A02,", ",2,A02,").replace(",B01,", ",3,B01,")
        ),
        "input", "column without a name",
    ),
}  # fmt: skip


def attempt(world: World, bad: Bad, **changes: Any) -> tuple[tuple[str, str], str]:
    """Spoil the world, run the job, and tell (outcome, cause) and sentence."""
    bad.spoil(world)
    tools = world.tools(**bad.environment, **changes)
    work(tools, world.lease(world.message("A01", **bad.message)))
    (outcome,) = world.outcomes()
    assert world.outputs("A01") == {}
    return outcome, world.sentence()


@pytest.mark.parametrize("name", EARLY)
def test_found_before_cellprofiler_is_started(name: str, world: World) -> None:
    bad = EARLY[name]
    outcome, sentence = attempt(world, bad)
    assert outcome == ("dead", bad.cause), sentence
    assert bad.says in sentence
    assert world.runs() == []


@pytest.mark.cellprofiler
@pytest.mark.parametrize("name", LATE)
def test_found_by_cellprofiler(name: str, cellprofiler: str, world: World) -> None:
    bad = LATE[name]
    outcome, sentence = attempt(world, bad, cellprofiler=cellprofiler)
    # A crash may be the machine's fault, and is tried again.
    assert outcome == ("failed" if bad.cause == "crash" else "dead", bad.cause), sentence
    assert bad.says in sentence
