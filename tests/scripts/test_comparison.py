"""What counts as a difference between two folders of results, and what doesn't."""

from pathlib import Path

import pytest

from scripts.comparison import MOST_TOLD, Compared, compare_folders

IMAGES = (
    "ImageNumber,Count_Nuclei,ExecutionTime_01LoadData,FileName_DNA,PathName_DNA,URL_DNA\n"
    "1,12.0,0.31,a.tif,/home/ubuntu/bucket/images,file:/home/ubuntu/bucket/images/a.tif\n"
    "2,9.0,0.27,b.tif,/home/ubuntu/bucket/images,file:/home/ubuntu/bucket/images/b.tif\n"
)


def compare(folder: Path, ours: dict[str, str], theirs: dict[str, str]) -> list[Compared]:
    for name, files in (("ours", ours), ("theirs", theirs)):
        for file, text in files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    return compare_folders(folder / "ours", folder / "theirs")


def test_times_and_places_may_differ(tmp_path: Path) -> None:
    elsewhere = IMAGES.replace("/home/ubuntu/bucket", "/data").replace("0.31", "0.98")
    (result,) = compare(tmp_path, {"Image.csv": IMAGES}, {"Image.csv": elsewhere})
    assert result == Compared("Image.csv", values=6)


def test_image_columns_of_object_tables_may_differ_too(tmp_path: Path) -> None:
    table = "ImageNumber,ObjectNumber,Image_PathName_DNA,ObjectsURL_Cells,Area\n1,1,{0},{0},7\n"
    (result,) = compare(tmp_path, {"N.csv": table.format("/a")}, {"N.csv": table.format("/b")})
    assert result == Compared("N.csv", values=3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("12.0", "12.00"), "row 1, Count_Nuclei: '12.00', '12.0' in the direct run"),
        ((",b.tif,", ",c.tif,"), "row 2, FileName_DNA: 'c.tif', 'b.tif' in the direct run"),
        (("\n2,", "\n3,"), "row 2, ImageNumber: '3', '2' in the direct run"),
        (
            ("Count_Nuclei", "Count_Cells"),
            "lacks columns Count_Nuclei; has more columns: Count_Cel",
        ),
        (("URL_DNA\n", "URL_Actin\n"), "lacks columns URL_DNA"),
        (("ImageNumber,Count_Nuclei", "Count_Nuclei,ImageNumber"), "another order"),
    ],
)
def test_everything_else_must_be_equal(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    changed = IMAGES.replace(*change, 1)
    assert changed != IMAGES
    (result,) = compare(tmp_path, {"Image.csv": changed}, {"Image.csv": IMAGES})
    assert result.differences == 1
    assert told in result.told[0]


def test_rows_must_be_as_many(tmp_path: Path) -> None:
    shorter = IMAGES[: IMAGES.rindex("2,9.0")]
    (result,) = compare(tmp_path, {"Image.csv": shorter}, {"Image.csv": IMAGES})
    assert result.told == ("1 rows, 2 in the direct run",)


def test_a_row_cut_short_is_told(tmp_path: Path) -> None:
    (result,) = compare(tmp_path, {"T.csv": "A,B\n1\n"}, {"T.csv": "A,B\n1,2\n"})
    assert result.told == ("row 1, 1 cells, 2 in the direct run, 2 in the header",)


def test_an_empty_table_differs_from_none(tmp_path: Path) -> None:
    (result,) = compare(tmp_path, {"T.csv": ""}, {"T.csv": "A,B\n1,2\n"})
    assert result.told == ("lacks columns A, B",)
    (result,) = compare(tmp_path / "both", {"T.csv": ""}, {"T.csv": ""})
    assert result == Compared("T.csv")


def test_only_the_first_differences_are_told(tmp_path: Path) -> None:
    ours, theirs = ("A\n" + "".join(f"{n + more}\n" for n in range(100)) for more in (0, 1))
    (result,) = compare(tmp_path, {"T.csv": ours}, {"T.csv": theirs})
    assert (result.values, result.differences, len(result.told)) == (100, 100, MOST_TOLD)


def test_a_table_with_two_header_rows(tmp_path: Path) -> None:
    table = "Image,Image,Nuclei\nImageNumber,PathName_DNA,Area\n1,{},{}\n"
    (result,) = compare(
        tmp_path, {"All.csv": table.format("/a", 7)}, {"All.csv": table.format("/b", 8)}
    )
    assert (result.values, result.told) == (2, ("row 1, Area: '7', '8' in the direct run",))


def test_the_time_of_the_run_may_differ_in_the_table_of_the_experiment(tmp_path: Path) -> None:
    table = "Key,Value\nRun_Timestamp,{}\nPipeline_Pipeline,{}\n"
    pipeline = "x" * 200_000  # more than a CSV's cells usually hold
    (result,) = compare(
        tmp_path,
        {"Experiment.csv": table.format("noon", pipeline)},
        {"Experiment.csv": table.format("one", pipeline)},
    )
    assert result == Compared("Experiment.csv", values=2)


def test_tables_may_be_tab_separated(tmp_path: Path) -> None:
    table = "ImageNumber\tURL_DNA\tArea\n1\t{}\t7\n"
    (result,) = compare(tmp_path, {"N.txt": table.format("a")}, {"N.txt": table.format("b")})
    assert result == Compared("N.txt", values=2)


def test_other_files_are_compared_by_their_bytes(tmp_path: Path) -> None:
    same, other = compare(
        tmp_path,
        {"a.png": "pixels", "sub/b.png": "pixels"},
        {"a.png": "pixels", "sub/b.png": "pixelz"},
    )
    assert same == Compared("a.png")
    assert (other.name, other.told) == ("sub/b.png", ("the bytes differ",))


def test_missing_and_additional_files_are_told(tmp_path: Path) -> None:
    missing, additional = compare(tmp_path, {"b.csv": "A\n"}, {"a.csv": "A\n"})
    assert (missing.name, missing.told) == ("a.csv", ("is missing from CellFleet's results",))
    assert (additional.name, additional.told) == ("b.csv", ("is only in CellFleet's results",))
