from pathlib import Path

import boto3
import pytest

from examples.results import WellResult, contact_sheet, download, measure, well_table
from examples.sample.plate import nuclei_in, wells


def write_nuclei(folder: Path, areas: list[float]) -> None:
    folder.mkdir(parents=True)
    lines = ["ImageNumber,AreaShape_Area", *(f"1,{area}" for area in areas)]
    (folder / "Nuclei.csv").write_text("\n".join(lines) + "\n")


def test_a_well_is_read_from_its_table(tmp_path: Path) -> None:
    write_nuclei(tmp_path / "Sample" / "A02", [400.0, 500.0])
    by_well = {result.well: result for result in measure(tmp_path, {"A02": 7})}
    assert list(by_well) == wells()
    assert by_well["A02"] == WellResult("A02", nuclei_in("A02"), 2, 450.0, 7)
    assert by_well["A01"] == WellResult("A01", nuclei_in("A01"))


@pytest.mark.parametrize(
    ("found", "good"),
    [(100, True), (110, True), (90, True), (111, False), (89, False), (0, False), (None, False)],
)
def test_a_well_is_good_within_ten_percent(found: int | None, good: bool) -> None:
    assert WellResult("A01", rendered=100, found=found).good is good


def test_an_empty_table_is_no_nuclei(tmp_path: Path) -> None:
    write_nuclei(tmp_path / "Sample" / "A01", [])
    first = measure(tmp_path, {})[0]
    assert (first.found, first.mean_area, first.good) == (0, None, False)


def test_the_table_has_a_row_per_well() -> None:
    table = well_table([WellResult("A01", 100, 97, 412.4, 8), WellResult("A02", 50)])
    cells = [list(column.cells) for column in table.columns]
    assert [row[0] for row in cells] == ["A01", "97", "100", "-3.0%", "412", "8"]
    assert [row[1] for row in cells] == ["A02", "none", "50", "none", "none", "none"]


def test_the_page_shows_the_pictures_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "Sample" / "A01"
    folder.mkdir(parents=True)
    (folder / "A01_s1_outlines.png").write_bytes(b"")
    page = contact_sheet([WellResult("A01", 100, 97), WellResult("A02", 50)], tmp_path)
    text = page.read_text()
    assert 'src="Sample/A01/A01_s1_outlines.png"' in text
    assert "97 nuclei" in text
    assert text.count("<img") == 1
    assert "no result" in text


def test_download_keeps_the_folders(session: boto3.Session, endpoint: str, tmp_path: Path) -> None:
    s3 = session.client("s3", endpoint_url=endpoint)
    s3.create_bucket(Bucket="plates")
    for key in ("out/Sample/A01/Image.csv", "out/Sample/A02/Image.csv", "output2/x"):
        s3.put_object(Bucket="plates", Key=key, Body=key.encode())
    files = download(s3, "plates", "out", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "Sample/A01/Image.csv",
        "Sample/A02/Image.csv",
    ]
    assert files[0].read_text() == "out/Sample/A01/Image.csv"
