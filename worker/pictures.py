"""Is an image file whole? CellProfiler fills in what a truncated JPEG or BMP lacks, without a word,
and measures that. TIFFs are looked at by `tiff`; formats that aren't known here are left to it.
"""

from __future__ import annotations

import mmap
import re
import struct

from worker import tiff

_PNG = b"\x89PNG\r\n\x1a\n"
# What follows 0xff in pixel data: a stuffed zero, a restart mark, more filling.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_END_OF_IMAGE = b"\xd9"


def damage(path: str) -> str:
    """What an image is and what is wrong with it, as in "TIFF: the file ends at 5000"; "" if it is
    whole, or of another format. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(16)
        if tiff.is_tiff(head):
            broken = tiff.problem(path)
            return "TIFF: %s" % broken if broken else ""
        if len(head) < 16:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for first, name, needs in _KINDS:
                if head.startswith(first):
                    needed = needs(data)
                    if needed > len(data):
                        return "%s: the file ends at %d, in the middle of the image" % (
                            name,
                            len(data),
                        )
    return ""


def _jpeg(data: mmap.mmap) -> int:
    """The bytes up to the mark at the image's end; one too many where there is none. Segments are
    passed over whole: a preview in one of them has an end of its own."""
    at = 2
    while True:
        match = _MARKER.search(data, at)
        if not match:
            return len(data) + 1
        at = int(match.end())
        if match.group(1) == _END_OF_IMAGE:
            return at
        length = data[at : at + 2]
        at += int.from_bytes(length, "big") if len(length) == 2 else 2


def _png(data: mmap.mmap) -> int:
    """The bytes up to the end of the last chunk."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        at += 12 + int(length)
        if kind == b"IEND":
            return at
    return max(at, len(data) + 1)


def _bmp(data: mmap.mmap) -> int:
    """The bytes up to the last row of pixels; none where they are compressed, or the header is of
    a kind that has become rare."""
    if len(data) < 34:
        return 34
    pixels, header, width, height, _, bits, compression = struct.unpack("<IIiiHHI", data[10:34])
    if header < 40 or compression not in (0, 3):
        return 0
    return int(pixels + (width * bits + 31) // 32 * 4 * abs(height))


_KINDS = ((b"\xff\xd8\xff", "JPEG", _jpeg), (_PNG, "PNG", _png), (b"BM", "BMP", _bmp))
