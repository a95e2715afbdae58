"""What the worker reads in a pipeline's text, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.failures import JobFailure
from worker.pipeline import Pipeline, read_pipeline
from worker.prepare import named_files

TEXT = (Path(__file__).parent / "data" / "nuclei.cppipe").read_text()


def read(text: str) -> Pipeline:
    return read_pipeline(text.encode(), "p.cppipe")


def changed(*replacements: tuple[str, str]) -> Pipeline:
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return read(text)


def module(name: str, *settings: str, enabled: bool = True) -> str:
    head = f"{name}:[module_num:4|notes:['|enabled:False|']|enabled:{enabled}|wants_pause:False]\n"
    return head + "".join(f"    {setting}\n" for setting in settings) + "\n"


def test_grouping_keys_come_from_load_data() -> None:
    assert read(TEXT).grouping == ("Metadata_Well",)
    two = changed(("for grouping:Well", "for grouping:Plate, Well"))
    assert two.grouping == ("Metadata_Plate", "Metadata_Well")
    assert changed(("by metadata?:Yes", "by metadata?:No")).grouping == ()


def test_grouping_keys_come_from_the_groups_module() -> None:
    groups = module(
        "Groups",
        "Do you want to group your images?:Yes",
        "Metadata category:Plate",
        "Metadata category:Well",
    )
    text = changed(("by metadata?:Yes", "by metadata?:No"))
    assert text.grouping == ()
    both = read(TEXT.replace("Count:3", "Count:4") + "\n" + groups)
    assert both.grouping is None
    alone = read("CellProfiler Pipeline: x\nModuleCount:1\n\n" + groups)
    assert alone.grouping == ("Metadata_Plate", "Metadata_Well")


def test_the_image_table_is_named_by_the_export() -> None:
    assert read(TEXT).image_csv == "Image.csv"
    own = changed(("File name:Image.csv", "File name:Bild.csv"))
    assert own.image_csv == "Bild.csv"
    prefixed = changed(("prefix to file names?:No", "prefix to file names?:Yes"))
    assert prefixed.image_csv == "MyExpt_Image.csv"
    everything = changed(("Export all measurement types?:No", "Export all measurement types?:Yes"))
    assert everything.image_csv == "Image.csv"
    by_plate = changed(("File name:Image.csv", r"File name:\g<Plate>.csv"))
    assert by_plate.image_csv == ""


def test_a_pipeline_cut_off_between_modules_is_refused() -> None:
    with pytest.raises(JobFailure, match="announces 3 modules and holds 2") as caught:
        read(TEXT[: TEXT.index("ExportToSpreadsheet")])
    assert caught.value.cause == "pipeline"


def test_create_batch_files_is_refused_only_when_enabled() -> None:
    text = TEXT.replace("Count:3", "Count:4") + "\n"
    with pytest.raises(JobFailure, match="CreateBatchFiles enabled"):
        read(text + module("CreateBatchFiles"))
    assert not read(text + module("CreateBatchFiles", enabled=False)).enabled("CreateBatchFiles")


def test_something_else_is_refused() -> None:
    with pytest.raises(JobFailure, match="not a CellProfiler pipeline"):
        read("<html>404</html>")


def test_a_project_or_batch_file_is_left_to_cellprofiler() -> None:
    pipeline = read_pipeline(b"\x89HDF\r\n\x1a\n\0\0", "Batch_data.h5")
    assert pipeline == Pipeline()
    assert pipeline.grouping is None


def test_windows_line_ends_are_read() -> None:
    assert read(TEXT.replace("\n", "\r\n")).grouping == ("Metadata_Well",)


def test_files_that_modules_name_are_found() -> None:
    flag = module(
        "FlagImage",
        "Rules file location:Default Input Folder|",
        "Rules file name:rules.txt",
        r"Other file name:\g<Plate>.txt",
    )
    model = module(
        "ClassifyObjects",
        "Select the location of the classifier model file:Elsewhere...|/home/ubuntu/bucket/models",
        "Rules or classifier file name:forest.model",
    )
    far = module("MaskImage", "Location:Elsewhere...|/opt", "File name:mask.png")
    pipeline = read(TEXT.replace("Count:3", "Count:6") + "\n" + flag + model + far)
    assert list(named_files(pipeline, "qc/rules/")) == [
        "/home/ubuntu/bucket/qc/rules/rules.txt",
        "/home/ubuntu/bucket/models/forest.model",
    ]
