"""A run counts as done only if everything says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from worker.check import Expected, Results, check
from worker.engine import Finished
from worker.failures import JobFailure

GOOD = Finished(exit_code=0, done="Complete", module_errors=0, signs=(), tail=())
EXPECTED = Expected(image_sets=2, image_csv="Image.csv")
HEADER = (
    "Count_Nuclei,ExecutionTime_01LoadData,FileName_DNA,Group_Index,ImageNumber,"
    "Mean_Nuclei_Area,Metadata_Well,ModuleError_01LoadData,PathName_DNA,URL_DNA"
)
ROW = "9.0,0.9,{n}.tif,1,{n},100.0,A01,0,/p,file:/p/{n}.tif"
BLANK = ",,{n}.tif,1,{n},nan,A01,,/p,file:/p/{n}.tif"
# What CellProfiler prints for a module error under --always-continue.
ERROR = "Error detected during run of module LoadData"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    table(tmp_path, ROW, ROW)
    (tmp_path / "Nuclei.csv").write_text("ImageNumber,ObjectNumber,FileName_DNA\n1,1,1.tif\n")
    return tmp_path


def table(folder: Path, *rows: str, name: str = "Image.csv") -> None:
    lines = [HEADER, *(row.format(n=number) for number, row in enumerate(rows, 1))]
    (folder / name).write_text("\n".join(lines) + "\n")


def refused(finished: Finished, output: Path, expected: Expected = EXPECTED) -> JobFailure:
    with pytest.raises(JobFailure) as caught:
        check(finished, output, expected)
    return caught.value


def test_a_good_run(output: Path) -> None:
    (output / "sub").mkdir()
    (output / "sub" / "mask.png").write_bytes(b"png")
    results = check(GOOD, output, EXPECTED)
    assert results == Results((Path("Image.csv"), Path("Nuclei.csv"), Path("sub/mask.png")))


# Exit code, done file and output as recorded from CellProfiler 4.2.8.1.
RECORDED = {
    "no matching group": (
        Finished(
            255,
            "Failure",
            0,
            ("Failed to complete post_run processing for module ExportToSpreadsheet.",),
            ("IndexError: index 0 is out of bounds for axis 0 with size 0",),
        ),
        ("pipeline", "ExportToSpreadsheet couldn't write"),
    ),
    "another key": (
        Finished(
            1,
            "",
            0,
            (),
            (
                "ValueError: The grouping keys specified on the command line (Metadata_Site) "
                "must be the same as those defined by the modules in the pipeline "
                "(Metadata_Well)",
            ),
        ),
        ("pipeline", "names Metadata_Site, but the pipeline groups by (Metadata_Well)"),
    ),
    "missing image": (
        Finished(
            255,
            "Failure",
            1,
            (ERROR,),
            ("FileNotFoundError: [Errno 2] The file, \"/b/x.tif\", does not exist.: '/b/x.tif'",),
        ),
        ("input", "looked for /b/x.tif"),
    ),
    "not an image": (
        Finished(
            255,
            "Failure",
            1,
            (ERROR,),
            (
                "OSError: [Errno 22] Could not load the file as an image (see log for "
                "details): b'/b/junk.tif'",
            ),
        ),
        ("input", "junk.tif' is not an image"),
    ),
    "unknown module": (
        Finished(
            0,
            "Complete",
            0,
            (
                "Failed to load pipeline",
                '    raise ValueError("Could not find the %s module" % module_class)',
                "ValueError: Could not find the CountSheep module",
            ),
            ("Times reported are CPU and Wall-clock times for each module",),
        ),
        ("plugin", "uses the module CountSheep"),
    ),
    "pipeline cut off": (
        Finished(
            0,
            "Complete",
            0,
            ("Failed to load pipeline",),
            ("ValueError: Invalid format for setting: Calculate the per-i", "Times reported"),
        ),
        ("pipeline", "Invalid format for setting"),
    ),
    "a module that fails": (
        Finished(
            255,
            "Failure",
            1,
            ("Error detected during run of module IdentifyPrimaryObjects",),
            ("ValueError: too many objects",),
        ),
        ("crash", "Module IdentifyPrimaryObjects failed: ValueError: too many objects"),
    ),
    "Java without memory": (
        Finished(1, "", 0, (), ("There is insufficient memory for the Java Runtime",)),
        ("memory", "raise MEMORY"),
    ),
    "killed": (Finished(-9, "", 0, (), ("working",)), ("memory", "killed")),
    "segmentation fault": (Finished(-11, "", 0, (), ()), ("crash", "signal 11")),
    "full disk": (
        Finished(1, "", 0, (), ("OSError: [Errno 28] No space left on device",)),
        ("disk", "EBS_VOL_SIZE"),
    ),
    "image missing from the pipeline": (
        Finished(255, "Failure", 0, (), ("The DNA image is missing from the pipeline.",)),
        ("pipeline", "uses the image DNA"),
    ),
    "empty CSV": (
        Finished(
            1, "", 0, (), ("ValueError: zero-size array to reduction operation maximum which",)
        ),
        ("input", "no rows"),
    ),
    "column without a name": (
        Finished(1, "", 0, (), ("ValueError: no name (Bad value)",)),
        ("input", "column without a name"),
    ),
    "no done file": (
        Finished(0, "", 0, (), ("ModuleNotFoundError: No module named 'MySQLdb'", "bye")),
        ("crash", "done file '': bye"),
    ),
    "done file of a failure": (Finished(0, "Failure", 0, (), ()), ("crash", "no output")),
}


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_failures(case: str, output: Path) -> None:
    finished, (cause, says) = RECORDED[case]
    failure = refused(finished, output)
    assert failure.cause == cause
    assert says in failure.sentence


def test_a_module_error_with_a_good_end_is_refused(output: Path) -> None:
    assert refused(replace(GOOD, module_errors=1, signs=(ERROR,)), output).cause == "crash"


def test_no_files_at_all(tmp_path: Path) -> None:
    assert refused(GOOD, tmp_path).cause == "pipeline"


def test_the_image_table_has_to_be_there(output: Path) -> None:
    (output / "Image.csv").unlink()
    assert "without writing Image.csv" in refused(GOOD, output).sentence


def test_each_image_set_has_to_have_its_row(output: Path) -> None:
    table(output, ROW)
    assert "has 1 image sets, expected 2" in refused(GOOD, output).sentence


def test_tables_split_by_metadata_are_counted_together(output: Path) -> None:
    (output / "Image.csv").unlink()
    for number, folder in enumerate(("a", "b"), 1):
        (output / folder).mkdir()
        (output / folder / "Image.csv").write_text(f"{HEADER}\n{ROW.format(n=number)}\n")
    assert len(check(GOOD, output, EXPECTED).files) == 3


def test_a_blank_row_is_refused(output: Path) -> None:
    table(output, ROW, BLANK)
    assert "no measurements for image set 2" in refused(GOOD, output).sentence


def test_a_row_that_was_flagged_and_skipped_half_way_is_not_blank(output: Path) -> None:
    table(output, ROW, ",0.9,{n}.tif,1,{n},nan,A01,0,/p,file:/p/{n}.tif")
    assert check(GOOD, output, EXPECTED).files


def test_always_continue_reports_what_it_left_out(output: Path) -> None:
    table(output, ROW, BLANK)
    finished = replace(GOOD, module_errors=1, signs=(ERROR,))
    results = check(finished, output, replace(EXPECTED, always_continue=True))
    assert results.module_errors == (ERROR,)


def test_always_continue_with_nothing_left_is_refused(output: Path) -> None:
    table(output, BLANK, BLANK)
    finished = replace(GOOD, module_errors=2, signs=(ERROR, ERROR))
    failure = refused(finished, output, replace(EXPECTED, always_continue=True))
    assert "every image set" in failure.sentence


def test_a_table_with_tabs_is_read(output: Path) -> None:
    (output / "Image.csv").unlink()
    table(output, ROW, BLANK, name="Image.txt")
    path = output / "Image.txt"
    path.write_text(path.read_text().replace(",", "\t"))
    expected = replace(EXPECTED, image_csv="Image.txt")
    assert "no measurements" in refused(GOOD, output, expected).sentence


def test_unknown_numbers_of_image_sets_are_not_compared(output: Path) -> None:
    assert check(GOOD, output, Expected(None, "")).files
