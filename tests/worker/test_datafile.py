"""Data files are fetched once, looked through once, and found as CellProfiler finds them."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import loaddata
from worker.datafile import DataFile, DataFiles
from worker.failures import JobFailure

CSV = "FileName_DNA,PathName_DNA,Metadata_Well\na.tif,/mount/x,002\nb.tif,/mount/x,010\n"
TWO = (("Metadata_Well", "2"),)

_fields = st.sampled_from(["1", "02", "1.5", "A1", "", "a b", 'q"', "two\nlines", "é"])


class Counting:
    """An S3 client that counts its downloads."""

    def __init__(self, s3: Any):
        self._s3 = s3
        self.downloads = 0

    def get_object(self, **arguments: Any) -> Any:
        self.downloads += 1
        return self._s3.get_object(**arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


@pytest.fixture
def client(s3: Any) -> Counting:
    return Counting(s3)


@pytest.fixture
def files(client: Any, tmp_path: Path) -> DataFiles:
    return DataFiles(client, tmp_path, lambda text: text.replace("/mount", "/here"))


def put(client: Counting, bucket: str, text: str = CSV, key: str = "in/a.csv") -> None:
    client.put_object(Bucket=bucket, Key=key, Body=text.encode())


def told(call: Any) -> Any:
    """What a call returns, or why it failed."""
    try:
        return call()
    except JobFailure as failure:
        return failure.cause, failure.sentence


@given(
    rows=st.lists(st.tuples(_fields, _fields), max_size=6),
    group=st.tuples(_fields, _fields),
    limits=st.none() | st.tuples(st.integers(0, 4), st.integers(0, 6)),
)
def test_it_answers_as_looking_through_the_csv_does(
    rows: list[tuple[str, str]], group: tuple[str, str], limits: tuple[int, int] | None
) -> None:
    import csv

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["FileName_DNA", "Metadata_X", "Metadata_Y"])
            writer.writerows((f"{number}.tif", *row) for number, row in enumerate(rows))
        data_file = DataFile(path, "a.csv")
        asked = [group, *((str(x).lstrip("0"), y) for x, y in rows), *rows]
        for x, y in asked:
            wanted = (("Metadata_X", x), ("Metadata_Y", y))
            slowly = told(lambda: loaddata.select(str(path), "a.csv", wanted, limits))  # noqa: B023
            assert told(lambda: data_file.select(wanted, limits)) == slowly  # noqa: B023


def test_one_download_for_many_jobs(files: DataFiles, client: Counting, bucket: str) -> None:
    put(client, bucket)
    for _ in range(3):
        with files.held() as held:
            found = held.get(bucket, "in/a.csv")
            assert [image.location for image in found.select(TWO).images] == ["/mount/x/a.tif"]
            assert found.path.read_text() == CSV.replace("/mount", "/here")
            assert found.path.name == "a.csv"
    assert client.downloads == 1


def test_slots_that_ask_at_once_share_it(files: DataFiles, client: Counting, bucket: str) -> None:
    put(client, bucket)
    together = threading.Barrier(4)

    def job(_: int) -> Path:
        with files.held() as held:
            together.wait(30)
            path = held.get(bucket, "in/a.csv").path
            together.wait(30)
            return path

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(job, range(4)))) == 1
    assert client.downloads == 1


def test_a_new_version_replaces_it_and_spoils_no_job(
    files: DataFiles, client: Counting, bucket: str, tmp_path: Path
) -> None:
    put(client, bucket)
    with files.held() as held:
        old = held.get(bucket, "in/a.csv")
        put(client, bucket, CSV.replace("a.tif", "new.tif"))
        with files.held() as later:
            new = later.get(bucket, "in/a.csv")
            assert [image.location for image in new.select(TWO).images] == ["/mount/x/new.tif"]
        assert old.path.read_text() == CSV.replace("/mount", "/here")
        assert [image.location for image in old.select(TWO).images] == ["/mount/x/a.tif"]
    assert {path.parent for path in tmp_path.rglob("*.csv")} == {new.path.parent}
    put(client, bucket, CSV.replace("a.tif", "newer.tif"))
    with files.held() as held:
        held.get(bucket, "in/a.csv")
    assert not new.path.parent.exists()


def test_no_more_than_two_are_kept_beyond_those_in_use(
    files: DataFiles, client: Counting, bucket: str, tmp_path: Path
) -> None:
    keys = [f"in/{number}.csv" for number in range(4)]
    for key in keys:
        put(client, bucket, key=key)
    with files.held() as held:
        for key in keys:
            held.get(bucket, key)
        assert len(list(tmp_path.iterdir())) == 4
    assert {path.name for path in tmp_path.rglob("*.csv")} == {"2.csv", "3.csv"}


def test_what_can_t_be_read_is_told_to_each_job(
    files: DataFiles, client: Counting, bucket: str
) -> None:
    put(client, bucket, "FileName_DNA,Metadata_Well\na.tif\n")
    for _ in range(2):
        with (
            files.held() as held,
            pytest.raises(JobFailure, match=r"Row 1 of in/a\.csv has 1 field"),
        ):
            held.get(bucket, "in/a.csv")
    with files.held() as held, pytest.raises(JobFailure, match=r"there is no s3://.*/none\.csv"):
        held.get(bucket, "none.csv")
    put(client, bucket)
    with files.held() as held:
        assert held.get(bucket, "in/a.csv").select(TWO).image_sets == 1
