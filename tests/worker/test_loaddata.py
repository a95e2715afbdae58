"""Which rows belong to a group is decided as CellProfiler decides it."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import loaddata
from worker.failures import JobFailure


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def with_values(path: Path, *values: str, key: str = "Metadata_X") -> str:
    rows = "".join(f"{number}.tif,{value}\n" for number, value in enumerate(values, 1))
    return write(path, f"FileName_DNA,{key}\n{rows}")


def rows_of(path: str, **group: str) -> list[int]:
    chosen = tuple((f"Metadata_{key}", value) for key, value in group.items())
    return [image.row for image in loaddata.select(path, "load_data.csv", chosen).images]


@pytest.mark.parametrize(
    ("values", "read_as"),
    [
        (("002", "010"), ("2", "10")),
        (("002", "A1"), ("002", "A1")),
        (("1.50", "2"), ("1.5", "2.0")),
        (("-3", "+4"), ("-3", "4")),
        (("2147483647", "1"), ("2147483647", "1")),
        (("2147483648", "01"), ("2147483648", "01")),
        (("1e3", "2"), ("1000.0", "2.0")),
        (("1.5", "02", "x"), ("1.5", "02", "x")),
        (("01", ""), ("01", "")),
        (("nan", "1"), ("nan", "1.0")),
    ],
)
def test_a_column_is_typed_as_a_whole(
    values: tuple[str, ...], read_as: tuple[str, ...], tmp_path: Path
) -> None:
    path = with_values(tmp_path / "a.csv", *values)
    for number, value in enumerate(read_as, 1):
        assert rows_of(path, X=value) == [number]


@pytest.mark.parametrize("key", ["Column", "Col", "WellColumn", "wellcol"])
def test_columns_of_wells_stay_text(key: str, tmp_path: Path) -> None:
    path = with_values(tmp_path / "a.csv", "01", "02", key=f"Metadata_{key}")
    assert rows_of(path, **{key: "01"}) == [1]


def test_row_and_column_make_a_well(tmp_path: Path) -> None:
    text = "FileName_DNA,Metadata_Row,Metadata_Column\n1.tif,A,01\n2.tif,B,01\n"
    assert rows_of(write(tmp_path / "a.csv", text), Well="B01") == [2]


def test_a_well_column_is_not_replaced(tmp_path: Path) -> None:
    text = "FileName_DNA,Metadata_Row,Metadata_Column,Metadata_Well\n1.tif,A,01,W\n"
    assert rows_of(write(tmp_path / "a.csv", text), Well="W") == [1]


def test_all_keys_have_to_match(tmp_path: Path) -> None:
    text = "FileName_DNA,Metadata_P,Metadata_W\n1.tif,P1,A\n2.tif,P1,B\n3.tif,P2,A\n"
    path = write(tmp_path / "a.csv", text)
    assert rows_of(path, P="P1", W="B") == [2]
    with pytest.raises(JobFailure, match="Metadata_P=P2,Metadata_W=B together"):
        rows_of(path, P="P2", W="B")


def test_no_match_names_the_values_there_are(tmp_path: Path) -> None:
    path = with_values(tmp_path / "a.csv", "A01", "A02", key="Metadata_Well")
    with pytest.raises(JobFailure) as caught:
        rows_of(path, Well="B07")
    assert caught.value.cause == "input"
    assert caught.value.sentence == (
        "No row of load_data.csv has Metadata_Well=B07: its values are A01, A02"
    )


def test_no_match_for_padding_says_what_to_write(tmp_path: Path) -> None:
    path = with_values(tmp_path / "a.csv", "002", "076")
    with pytest.raises(JobFailure, match=r"reads this column as numbers, so write 2$"):
        rows_of(path, X="002")


def test_many_values_are_cut_short(tmp_path: Path) -> None:
    path = with_values(tmp_path / "a.csv", *(f"v{number}" for number in range(5000)))
    with pytest.raises(JobFailure) as caught:
        rows_of(path, X="w")
    assert caught.value.sentence.endswith("v8, v9, …")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("FileName_DNA,Metadata_Y\n1.tif,1\n", "no column Metadata_X"),
        ("FileName_DNA,Metadata_X\n", "has no rows"),
        ("FileName_DNA,Metadata_X\n1.tif\n", "Row 1 of load_data.csv has 1 fields, its header 2"),
        ("PathName_DNA,Metadata_X\n/a,1\n", "no FileName_DNA"),
        ("FileName_DNA,Metadata_X\n,1\n", "Row 1 of load_data.csv names no file"),
    ],
)
def test_what_cellprofiler_could_not_use_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(JobFailure, match=says) as caught:
        rows_of(write(tmp_path / "a.csv", text), X="1")
    assert caught.value.cause == "input"


def test_files_are_found_by_path_name_and_url(tmp_path: Path) -> None:
    text = (
        "Image_FileName_A,Image_PathName_A,FileName_B,URL_C,FileName_C,ObjectsFileName_N,"
        "FileName_IllumA,PathName_IllumA,Metadata_X\n"
        "a b.tif,/mount/x y/,sub/b.tif,s3://other/c.tif,ignored.tif,n.tif,ill.npy,illum,1\n"
    )
    path = write(tmp_path / "a.csv", text)
    images = loaddata.select(path, "c", (("Metadata_X", "1"),)).images
    assert {image.channel: image.location for image in images} == {
        "A": "/mount/x y/a b.tif",
        "B": "sub/b.tif",
        "C": "s3://other/c.tif",
        "N": "n.tif",
        "IllumA": "illum/ill.npy",
    }


def test_a_range_of_rows_is_kept_to_but_types_are_not(tmp_path: Path) -> None:
    path = with_values(tmp_path / "a.csv", "01", "01", "01", "x")
    group = (("Metadata_X", "01"),)
    assert loaddata.select(path, "c", group, (2, 3)).image_sets == 2


def test_rewriting_changes_paths_alone(tmp_path: Path) -> None:
    text = (
        "FileName_A,PathName_A,URL_B,Metadata_Note,Metadata_X\n"
        '"a,b.tif",/old/p,/old/u,/old/note,002\n'
        '1.tif,/old/p,,"two\nlines",010\n'
    )
    source, target = write(tmp_path / "a.csv", text), tmp_path / "b.csv"
    loaddata.rewrite(source, str(target), lambda value: value.replace("/old", "/new"))
    with target.open(newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["a,b.tif", "/new/p", "/new/u", "/old/note", "002"],
            ["1.tif", "/new/p", "", "two\nlines", "010"],
        ]


field = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(st.lists(st.tuples(field, field), max_size=5))
def test_rewriting_keeps_every_field(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.csv"), Path(folder, "b.csv")
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("PathName_A", "Metadata_X"), *rows])
        loaddata.rewrite(str(source), str(target), lambda value: value)
        with source.open(encoding="utf-8") as one, target.open(encoding="utf-8") as two:
            assert list(csv.reader(one)) == list(csv.reader(two))
