"""A truncated TIFF is refused wherever it was cut; a whole one never is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile

from worker import tiff

KINDS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 8},
    "tiles": {"tile": (32, 32)},
    "compressed strips": {"rowsperstrip": 8, "compression": "zlib"},
    "big-endian": {"rowsperstrip": 8, "byteorder": ">"},
    "BigTIFF": {"rowsperstrip": 8, "bigtiff": True},
    "big-endian BigTIFF tiles": {"tile": (32, 32), "bigtiff": True, "byteorder": ">"},
}


def written(path: Path, pages: int, **options: Any) -> bytes:
    options = dict(options)
    opening = {key: options.pop(key) for key in ("byteorder", "bigtiff") if key in options}
    pixels = numpy.random.default_rng(1).integers(0, 65535, (70, 90)).astype("uint16")
    with tifffile.TiffWriter(path, **opening) as file:
        for _ in range(pages):
            file.write(pixels, contiguous=False, metadata=None, **options)
    return path.read_bytes()


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_tiff_is_accepted_and_every_cut_one_refused(
    kind: str, pages: int, tmp_path: Path
) -> None:
    whole = written(tmp_path / "whole.tif", pages, **KINDS[kind])
    assert tiff.problem(str(tmp_path / "whole.tif")) == ""

    cut = tmp_path / "cut.tif"
    lengths = {len(whole) * part // 40 for part in range(1, 40)} | {len(whole) - 40, 16, 9}
    for length in sorted(lengths):
        cut.write_bytes(whole[:length])
        assert tiff.problem(str(cut)), f"cut at {length} of {len(whole)} bytes"


def test_the_problem_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    whole = written(path, 1, rowsperstrip=8)
    path.write_bytes(whole[: len(whole) // 2])
    assert f"the file ends at {len(whole) // 2}" in tiff.problem(str(path))


def test_other_files_are_left_to_cellprofiler(tmp_path: Path) -> None:
    path = tmp_path / "illumination.npy"
    numpy.save(path, numpy.ones((4, 4)))
    assert tiff.problem(str(path)) == ""


def test_directories_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    # One directory without entries at byte 8, whose successor is itself.
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + b"\0\0" + (8).to_bytes(4, "little"))
    assert "circle" in tiff.problem(str(path))


def test_a_count_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.tif"
    entry = (273).to_bytes(2, "little") + (4).to_bytes(2, "little") + b"\xff" * 4 + b"\0" * 4
    path.write_bytes(b"II*\0" + (8).to_bytes(4, "little") + b"\1\0" + entry + b"\0" * 4)
    assert "can't be read" in tiff.problem(str(path))


def test_counts_left_out_or_zero_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "old.tif"
    offsets = (273).to_bytes(2, "little") + (4).to_bytes(2, "little") + b"\1\0\0\0" + b"\x1a\0\0\0"
    path.write_bytes(b"II*\0" + b"\x08\0\0\0" + b"\1\0" + offsets + b"\0" * 4 + b"pixels")
    assert tiff.problem(str(path)) == ""
