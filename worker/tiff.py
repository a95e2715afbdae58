"""Is a TIFF whole? CellProfiler reads a truncated one without a word and measures what is left.

Walks every image file directory (IFD) of a classic or big TIFF of either byte order, and holds
each strip and tile against the size of the file. Reads a few kilobytes, never the pixels.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Iterable

# Tags that place pixels in the file: offsets, and the byte counts that go with them.
_PIXELS = {273: 279, 324: 325}
_COUNTS = frozenset(_PIXELS.values())
# The field types that can hold offsets or counts: bytes a value, and struct code.
_TYPE_BYTES = {3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
_TYPE_CODES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
# No microscope writes more pages; a bound on what a hostile file can make us do.
_MAX_PAGES = 1_000_000
_MAX_VALUES = 50_000_000


class _Broken(Exception):
    """The file isn't whole; says where."""


def is_tiff(head: bytes) -> bool:
    """Whether a file that begins with these (at least 4) bytes is a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def problem(path: str) -> str:
    """What is wrong with the TIFF, "" if it is whole (or not a TIFF at all)."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        if not is_tiff(head):
            return ""
        try:
            _Walk(file, size, head).pages()
        except _Broken as broken:
            return str(broken)
    return ""


class _Walk:
    """One pass over the directories of one file of `size` bytes."""

    def __init__(self, file: BinaryIO, size: int, head: bytes):
        self.file = file
        self.size = size
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head[2:4] in (b"+\0", b"\0+")
        # Codes of: the number of entries, an offset (and count); bytes of an entry.
        self.entries_code, self.offset_code = ("Q", "Q") if self.big else ("H", "I")
        self.entry_bytes, self.inline_bytes = (20, 8) if self.big else (12, 4)
        start = 8 if self.big else 4
        self.first = self._unpack(self.offset_code, head[start:], "header")[0]

    def pages(self) -> None:
        """Raises _Broken at the first thing that lies outside the file."""
        offset = self.first
        seen: set[int] = set()
        if not offset:
            raise _Broken("it has no image")
        while offset and len(seen) < _MAX_PAGES:
            if offset in seen:
                raise _Broken("its directories run in a circle")
            seen.add(offset)
            offset = self._page(offset, len(seen))

    def _page(self, offset: int, number: int) -> int:
        """Check one page; returns the offset of the next directory, 0 after the last."""
        what = "the directory of page %d" % number
        count_bytes = struct.calcsize("<" + self.entries_code)
        (entries,) = self._unpack(self.entries_code, self._read(offset, count_bytes, what), what)
        body = offset + count_bytes
        table = self._read(body, entries * self.entry_bytes, what)
        values = {}
        for start in range(0, len(table), self.entry_bytes):
            entry = table[start : start + self.entry_bytes]
            tag, kind = struct.unpack(self.order + "HH", entry[:4])
            if tag in _PIXELS or tag in _COUNTS:
                values[tag] = self._values(kind, entry[4:], what)
        for tag, counts in _PIXELS.items():
            self._pixels(values.get(tag, ()), values.get(counts, ()), number)
        next_bytes = struct.calcsize("<" + self.offset_code)
        last = self._read(body + len(table), next_bytes, what)
        return int(self._unpack(self.offset_code, last, what)[0])

    def _values(self, kind: int, rest: bytes, what: str) -> tuple[int, ...]:
        """The values of an entry, from the entry itself or from where it points to."""
        (count,) = self._unpack(self.offset_code, rest, what)
        code = _TYPE_CODES.get(kind)
        if code is None or count > _MAX_VALUES:
            raise _Broken("%s can't be read (field type %d, %d values)" % (what, kind, count))
        held = rest[self.inline_bytes :]
        length = count * _TYPE_BYTES[kind]
        if length > self.inline_bytes:
            (pointer,) = self._unpack(self.offset_code, held, what)
            held = self._read(pointer, length, what)
        return struct.unpack("%s%d%s" % (self.order, count, code), held[:length])

    def _pixels(self, offsets: Iterable[int], counts: tuple[int, ...], page: int) -> None:
        for index, offset in enumerate(offsets):
            # Old writers leave the count out or at 0; then at least its start must be there.
            end = offset + max(counts[index] if index < len(counts) else 1, 1)
            if offset and end > self.size:
                raise _Broken(
                    "the pixels of page %d should reach byte %d, the file ends at %d"
                    % (page, end, self.size)
                )

    def _read(self, offset: int, length: int, what: str) -> bytes:
        if offset + length > self.size:
            raise _Broken(
                "%s should reach byte %d, the file ends at %d" % (what, offset + length, self.size)
            )
        self.file.seek(offset)
        return self.file.read(length)

    def _unpack(self, code: str, data: bytes, what: str) -> tuple[int, ...]:
        length = struct.calcsize("<" + code)
        if len(data) < length:
            raise _Broken("%s is cut off" % what)
        return struct.unpack(self.order + code, data[:length])
