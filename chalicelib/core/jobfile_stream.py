"""A job file as a stream of JSON events, in bounded memory whatever the bytes are.

An event is ijson's `(kind, value)`: "start_map", "map_key", "string", "number", …
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_LE
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any, BinaryIO, Self

import ijson

from chalicelib.errors import Problem

#: Each call gives a fresh stream over the same bytes: one version of one S3 object.
Opener = Callable[[], BinaryIO]
Event = tuple[str, Any]
Events = Generator[Event, None, None]

OPENING = frozenset(("start_map", "start_array"))
CLOSING = frozenset(("end_map", "end_array"))

#: No group, and no value of a top-level key, is read beyond about this many bytes.
MAX_ITEM_BYTES = 4 * 1024 * 1024
_MAX_DEPTH = 100
_CHUNK_BYTES = 64 * 1024

# The parser turns a lone first half of a surrogate pair into "?" without a word.
_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F])")
_LOOK_AHEAD = 4
_OVERLAP = 64  # of two chunks, so that what stands across them is seen whole
# Python refuses to read integers of more than 4,300 digits, and the parser then hands out a
# broken event. Full chunks make sure that none gets past this.
_HUGE_NUMBER = re.compile(rb"[0-9]{1000}")


class UnreadableError(Exception):
    """The file can't be read any further; `problem` says where and why."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))


class JobFileStream:
    """One pass over a job file: `events` gives its events, leaving the `with` closes it.

    The consumer keeps `where` up to date (17 for `groups[17]`, or a key); every change of it
    starts a new item, and items are bounded.
    """

    def __init__(self, open_stream: Opener):
        self._open = open_stream
        self.where: str | int = "the file"
        self.events = self._parse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.events.close()

    def place(self) -> str:
        """What is being read, in the user's words."""
        return f"groups[{self.where}]" if isinstance(self.where, int) else self.where

    def skip(self, kind: str) -> None:
        """Read past a value whose first event was of this kind."""
        depth = 1 if kind in OPENING else 0
        while depth:
            kind, _ = next(self.events)
            if kind in OPENING or kind in CLOSING:
                depth = self.deeper(depth, kind)

    def deeper(self, depth: int, kind: str) -> int:
        """The depth after one more opening or closing event. Raises UnreadableError if lists
        or objects are nested beyond all reason."""
        if kind in CLOSING:
            return depth - 1
        if depth > _MAX_DEPTH:
            expected = f"more than {_MAX_DEPTH} lists or objects within each other"
            raise UnreadableError(Problem(where=self.place(), expected=expected))
        return depth + 1

    def _parse(self) -> Events:
        events = ijson.sendable_list()
        parser = ijson.basic_parse_coro(events)
        for number, chunk in enumerate(self._checked_chunks()):
            error = _feed(parser, chunk)
            if isinstance(error, SystemError):  # the last event is broken: don't touch it
                events.clear()
            yield from events
            events.clear()
            if error:
                raise UnreadableError(self._explain(error, number))

    def _checked_chunks(self) -> Iterator[bytes]:
        """The chunks, then b"" for the end."""
        item, item_bytes = self.where, 0
        seen, line = b"", 1  # the end of what came before; the line that it ends in
        for chunk in _chunks(self._open):
            if item != self.where:
                item, item_bytes = self.where, 0
            item_bytes += len(chunk)
            if item_bytes > MAX_ITEM_BYTES:
                raise UnreadableError(
                    Problem(where=self.place(), expected="at most 4 MiB of text in one item")
                )
            _refuse_bad_escapes(seen, chunk, line)
            yield chunk
            line += chunk.count(b"\n")
            seen = chunk[-_OVERLAP:]
        _refuse_bad_escapes(seen, b"", line)
        yield b""

    def _explain(self, error: BaseException, number: int) -> Problem:
        text = error.args[0] if error.args else ""
        text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        if isinstance(error, UnicodeError) or "UTF8" in text:
            expected, hint = "not UTF-8", "save the file with the encoding UTF-8"
        elif "premature EOF" in text:
            expected, hint = "the file ends too early", "a closing ] or } may be missing"
        elif "trailing garbage" in text:
            expected, hint = "more text after the end of the JSON", "remove it"
        elif isinstance(error, ijson.JSONError):
            expected = "not JSON: " + text.partition("\n")[0].rstrip(".")
            hint = "JSON wants double quotes, and no comma after the last item"
        else:
            expected, hint = "not a number that can be read", "write it as text, in quotes"
        return Problem(
            where=f"{_locate(self._open, number)}, in or after {self.place()}",
            expected=expected,
            hint=hint,
        )


def _feed(parser: Any, chunk: bytes) -> BaseException | None:
    """Give the parser a chunk (b"": the end); its error, if any, comes back as a value,
    since the events before the error are wanted too."""
    try:
        if chunk:
            parser.send(chunk)
        else:
            parser.close()
    except (ijson.JSONError, ValueError, ArithmeticError, SystemError) as error:
        return error
    return None


def _chunks(open_stream: Opener) -> Iterator[bytes]:
    """Full chunks (but for the last), without the byte-order mark."""
    with closing(open_stream()) as stream:
        first = True
        while chunk := _read_full(stream):
            if first:
                first = False
                _refuse_wide_encodings(chunk)
                chunk = chunk.removeprefix(BOM_UTF8)
            if chunk:
                yield chunk


def _read_full(stream: BinaryIO) -> bytes:
    parts = []
    missing = _CHUNK_BYTES
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _refuse_wide_encodings(chunk: bytes) -> None:
    start = chunk[:4]
    if start.startswith((BOM_UTF32_LE, b"\0\0")) or start[1:] == b"\0\0\0":
        bits = 32
    elif start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in start:
        bits = 16
    else:
        return
    raise UnreadableError(
        Problem(
            where="the file",
            expected=f"it looks like UTF-{bits}, and must be UTF-8",
            hint="save it with the encoding UTF-8",
        )
    )


def _refuse_bad_escapes(seen: bytes, chunk: bytes, line: int) -> None:
    """Refuse what the parser would take, and shouldn't; `seen` is the end of the last chunk,
    `line` the line it ended in, an empty chunk the end of the file."""
    text = seen + chunk
    found = _HUGE_NUMBER.search(text)
    reason = "a number of 1,000 digits or more can't be read"
    if found is None and b"\\u" in text:
        for half in _HALF_PAIR.finditer(text):
            decided_before = half.end() + _LOOK_AHEAD <= len(seen)
            undecided = half.end() + _LOOK_AHEAD > len(text) and chunk
            if not decided_before and not undecided:
                found, reason = half, f"{half[1].decode()} is half of a character"
                break
    if found:
        line += text.count(b"\n", 0, found.start()) - seen.count(b"\n")
        raise UnreadableError(Problem(where=f"line {line}", expected=reason))


def _locate(open_stream: Opener, number: int) -> str:
    """The line and column of the error that the parser met in a chunk.

    The parser doesn't tell, so the file is parsed again with that chunk in small pieces, and
    once more with the bad piece byte by byte (many small pieces of a long text are slow).
    """
    line = column = start = 0
    for size in (256, 1):
        line, column, start = _error_place(open_stream, number, start, size)
    return f"line {line}, column {column}"


def _error_place(open_stream: Opener, number: int, start: int, size: int) -> tuple[int, int, int]:
    """Line and column of the end of the first piece that the parser refuses, and its start in
    the chunk, which is cut in pieces of a size from `start` on."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    line, column, at = 1, 0, 0
    for count, chunk in enumerate(_chunks(open_stream)):
        cuts = [0, *range(start, len(chunk), size)] if count == number else [0]
        for at, end in pairwise([*dict.fromkeys(cuts), len(chunk)]):
            piece = chunk[at:end]
            failed = _feed(parser, piece)
            events.clear()
            newlines = piece.count(b"\n")
            line += newlines
            column = len(piece) - piece.rfind(b"\n") - 1 + (0 if newlines else column)
            if failed:
                return line, column, at
    return line, column, at
