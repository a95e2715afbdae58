"""Truncated pictures are refused wherever they were cut; whole ones never are."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from tests.worker.world import DATA
from worker.pictures import damage


def png(size: int = 30) -> bytes:
    """A grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + bytes(range(size)) for _ in range(size))
    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def bmp(width: int = 30, height: int = 20, compression: int = 0) -> bytes:
    """A grey picture, whose rows are padded to 32 bits."""
    pixels = bytes((width + 3) // 4 * 4 * abs(height))
    place = 54 + 1024
    head = struct.pack("<2sIHHI", b"BM", place + len(pixels), 0, 0, place)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 0, 0)
    return head + info + bytes(1024) + pixels


PICTURES = {
    # Each has a preview in its EXIF segment, with an end of its own.
    "JPEG": (DATA / "baseline.jpg").read_bytes(),
    "progressive JPEG": (DATA / "progressive.jpg").read_bytes(),
    "PNG": png(),
    "BMP": bmp(),
    "BMP from the top": bmp(height=-20),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_whole_picture_is_accepted_and_every_cut_one_refused(kind: str, tmp_path: Path) -> None:
    path, whole = tmp_path / "image", PICTURES[kind]
    path.write_bytes(whole)
    assert damage(str(path)) == ""
    path.write_bytes(whole + b"made by a microscope")
    assert damage(str(path)) == ""
    for length in {*range(20, len(whole), 13), len(whole) - 1}:
        path.write_bytes(whole[:length])
        name = kind.replace("progressive ", "").partition(" ")[0]
        says = f"{name}: the file ends at {length}, in the middle of the image"
        assert damage(str(path)) == says


def test_a_tiff_is_looked_at_as_one(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(b"II*\0" + bytes(4))
    assert damage(str(path)).startswith("TIFF: ")


@pytest.mark.parametrize(
    "content", [b"", b"BM", b"a text of some length", bmp(compression=1)[:900]]
)
def test_what_isn_t_known_is_left_to_cellprofiler(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert damage(str(path)) == ""
