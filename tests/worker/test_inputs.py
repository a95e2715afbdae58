"""Inputs arrive whole, are shared by slots, and don't outstay the jobs that need them."""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile
from botocore.response import StreamingBody

from worker.failures import Cancelled, JobFailure
from worker.inputs import Inputs, Wanted, download


def wanted(bucket: str, key: str, folder: Path, **more: Any) -> Wanted:
    return Wanted(bucket, key, folder / key, f"load_data.csv, row 1, channel DNA: {key}", **more)


def nothing() -> None:
    """No reason to stop."""


def test_a_file_is_there_inside_and_gone_outside(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="a b/c.txt", Body=b"content")
    item = wanted(bucket, "a b/c.txt", tmp_path)
    with Inputs(s3).hold([item, item], nothing):
        assert item.path.read_bytes() == b"content"
        assert [path.name for path in item.path.parent.iterdir()] == ["c.txt"]
    assert not item.path.exists()


def test_a_sibling_keeps_its_files(s3: Any, bucket: str, tmp_path: Path) -> None:
    for key in ("shared.txt", "own.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    inputs = Inputs(s3)
    shared, own = (wanted(bucket, key, tmp_path) for key in ("shared.txt", "own.txt"))
    with inputs.hold([shared], nothing):
        with inputs.hold([shared, own], nothing):
            assert own.path.exists()
        assert shared.path.exists()
        assert not own.path.exists()
    assert not shared.path.exists()


def test_slots_that_want_the_same_file_fetch_it_once(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="illum.npy", Body=b"x" * 1000)
    fetched: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_object(self, **what: str) -> Any:
            fetched.append(what["Key"])
            return s3.get_object(**what)

    inputs, item = Inputs(Counting()), wanted(bucket, "illum.npy", tmp_path)  # type: ignore[arg-type]
    barrier = threading.Barrier(4)
    seen: list[bool] = []

    def slot() -> None:
        with inputs.hold([item], nothing):
            barrier.wait()
            seen.append(item.path.exists())
            barrier.wait()

    threads = [threading.Thread(target=slot) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4
    assert fetched == ["illum.npy"]
    assert not item.path.exists()


def test_a_missing_file_is_named_and_the_others_are_removed(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="there.txt", Body=b"content")
    items = [wanted(bucket, key, tmp_path) for key in ("there.txt", "nope.txt")]
    with pytest.raises(JobFailure) as caught, Inputs(s3).hold(items, nothing):
        pytest.fail("must not get here")
    assert caught.value.cause == "input"
    assert caught.value.sentence == (
        f"load_data.csv, row 1, channel DNA: nope.txt: there is no s3://{bucket}/nope.txt"
    )
    assert not list(tmp_path.rglob("*.txt*"))


def test_a_missing_file_that_is_optional_is_done_without(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    item = wanted(bucket, "rules.txt", tmp_path, optional=True)
    with Inputs(s3).hold([item], nothing):
        assert not item.path.exists()


def test_an_empty_file_and_a_missing_bucket_are_the_users_to_mend(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="empty.tif", Body=b"")
    with pytest.raises(JobFailure, match="is an empty file") as caught:
        download(s3, wanted(bucket, "empty.tif", tmp_path))
    assert caught.value.cause == "input"
    with pytest.raises(JobFailure, match="there is no bucket no-such-bucket-here") as caught:
        download(s3, wanted("no-such-bucket-here", "a.tif", tmp_path))
    assert caught.value.cause == "input"


def test_a_truncated_tiff_is_refused(s3: Any, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.tif"
    tifffile.imwrite(path, numpy.zeros((64, 64), "uint16"))
    s3.put_object(Bucket=bucket, Key="cut.TIF", Body=path.read_bytes()[:5000])
    with pytest.raises(JobFailure, match="the file ends at 5000") as caught:
        download(s3, wanted(bucket, "cut.TIF", tmp_path))
    assert caught.value.cause == "input"
    assert not (tmp_path / "cut.TIF").exists()


@pytest.mark.parametrize(("body", "says"), [(b"short", "5 bytes"), (b"CONTENT", "MD5")])
def test_what_arrives_damaged_is_refused(
    body: bytes, says: str, s3: Any, bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"content")

    class Damaging:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_object(self, **what: str) -> Any:
            arrived = StreamingBody(BytesIO(body), len(body))
            return {**s3.get_object(**what), "Body": arrived}

    with pytest.raises(JobFailure, match=says) as caught:
        download(Damaging(), wanted(bucket, "a.txt", tmp_path))  # type: ignore[arg-type]
    assert caught.value.cause == "download"
    assert not list(tmp_path.iterdir())


class Breaking:
    """A client whose objects break off after two bytes, unless they are fetched in parts."""

    def __init__(self, s3: Any):
        self._s3 = s3
        self.in_parts = 0

    def get_object(self, **what: str) -> Any:
        return {**self._s3.get_object(**what), "Body": StreamingBody(BytesIO(b"co"), 7)}

    def download_file(self, *where: str) -> None:
        self.in_parts += 1
        self._s3.download_file(*where)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)


@pytest.mark.parametrize("small", [3, 100])
def test_what_is_large_or_broke_off_is_fetched_in_parts(
    small: int, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.inputs._SMALL", small)
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"content")
    client: Any = Breaking(s3)
    download(client, wanted(bucket, "a.txt", tmp_path))
    assert (tmp_path / "a.txt").read_bytes() == b"content"
    assert client.in_parts == 1


def test_a_multipart_upload_has_no_md5_to_compare(s3: Any, bucket: str, tmp_path: Path) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big.txt")["UploadId"]
    where = {"Bucket": bucket, "Key": "big.txt", "UploadId": upload}
    etag = s3.upload_part(**where, PartNumber=1, Body=b"content")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**where, MultipartUpload=parts)
    item = wanted(bucket, "big.txt", tmp_path)
    download(s3, item)
    assert item.path.read_bytes() == b"content"


def test_fetching_stops_when_the_job_is_cancelled(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="a.txt", Body=b"content")

    def cancelled() -> None:
        raise Cancelled("interrupted")

    hold = Inputs(s3).hold([wanted(bucket, "a.txt", tmp_path)], cancelled)
    with pytest.raises(Cancelled), hold:
        pytest.fail("must not get here")
    assert not list(tmp_path.iterdir())
