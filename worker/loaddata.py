"""LoadData's CSVs, read as CellProfiler reads them.

A column is typed as a whole: all whole numbers (of 32 bits), else all numbers, else text; then
`str(value)` is compared with the group's value. So `002, 010` are `2` and `10`, while
`002, A1` stay as they are. Columns that number the wells' columns stay text, and a row and a
column make a well where there is none.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Callable, Iterator, TextIO

from chalicelib import contract
from chalicelib.contract.groups import Group, format_group
from worker.failures import JobFailure

_PREFIXES = ("", "Objects")
_LOCATIONS = ("URL", "FileName", "PathName")
_ROW_WORDS = ("wellrow", "well_row", "row")
_COLUMN_WORDS = ("wellcol", "well_col", "wellcolumn", "well_column", "column", "col")
_INT32 = 2**31
_SHOWN = 10


@dataclass(frozen=True)
class Image:
    """One file that a row names: its channel, the row (1 is the first after the header), and
    where: an absolute path, one relative to the base image location, or a URL."""

    channel: str
    row: int
    location: str

    def __str__(self) -> str:
        return "row %d, channel %s: %s" % (self.row, self.channel, self.location)


@dataclass(frozen=True)
class Selection:
    """The rows of one group: how many image sets, and the files they need."""

    image_sets: int
    images: tuple[Image, ...]


def kind_of(field: str) -> str:
    """`int`, `float` or `text`: what one field looks like."""
    try:
        return "int" if -_INT32 <= int(field) < _INT32 else "text"
    except ValueError:
        pass
    try:
        float(field)
    except ValueError:
        return "text"
    return "float"


def widen(kind: str, field: str) -> str:
    """The kind of a column after one more of its fields."""
    seen = kind_of(field)
    if kind == "int" or (kind == "float" and seen != "int"):
        return seen
    return kind


def as_text(kind: str, field: str) -> str:
    """What CellProfiler compares with the group's value."""
    if kind == "int":
        return str(int(field))
    return str(float(field)) if kind == "float" else field


def select(path: str, name: str, group: Group, rows: tuple[int, int] | None = None) -> Selection:
    """The rows of `group` in the CSV at `path`, which users know as `name`.

    `rows` is the range (first and last, from 1) to which the pipeline restricts LoadData.
    Raises JobFailure (cause `input`) when no row matches or a row can't be read.
    """
    with open_csv(path) as file:
        table = Table(file, name)
        keys = [table.key(key) for key, _ in group]
        kinds = [table.first_kind(key) for key, _ in group]
        for _, fields in table.records():
            for index, key in enumerate(keys):
                kinds[index] = widen(kinds[index], key(fields)) if kinds[index] else ""
    seen = _Seen(group)
    with open_csv(path) as file:
        table = Table(file, name)
        count = 0
        images: list[Image] = []
        for number, fields in table.records(rows):
            values = [as_text(kind, key(fields)) for kind, key in zip(kinds, keys)]
            if seen.matches(values):
                count += 1
                images += table.images(number, fields)
    if not count:
        raise JobFailure(contract.INPUT, seen.sentence(name, kinds))
    return Selection(count, tuple(images))


def rewrite(source: str, target: str, move: Callable[[str], str]) -> None:
    """Copy a CSV, passing each path and URL through `move` and touching nothing else.

    All rows are kept, so that the columns' types and the image numbers stay.
    """
    with open_csv(source) as file, open(target, "w", encoding="utf-8", newline="") as copy:
        writer = csv.writer(copy, lineterminator="\n")
        reader = csv.reader(file)
        header = next(reader, [])
        writer.writerow(header)
        paths = [index for index, field in enumerate(header) if _category(column(field))]
        for fields in reader:
            for index in paths:
                if index < len(fields):
                    fields[index] = move(fields[index])
            writer.writerow(fields)


def column(field: str) -> str:
    """A header field as CellProfiler names the column: `Image_FileName_X` is `FileName_X`."""
    short = field[len("Image_") :]
    return short if field.startswith("Image_") and _category(short) else field


def _category(name: str) -> tuple[str, str, str] | None:
    """`ObjectsFileName_X` to `("Objects", "FileName", "X")`; None when it places no file."""
    head, underscore, channel = name.partition("_")
    for prefix in _PREFIXES:
        kind = head[len(prefix) :]
        if underscore and head.startswith(prefix) and kind in _LOCATIONS:
            return prefix, kind, channel
    return None


def open_csv(path: str) -> TextIO:
    """The CSV's text."""
    # As CellProfiler: universal newlines. A byte that isn't UTF-8 must not end the worker.
    return open(path, encoding="utf-8", errors="surrogateescape")


class Table:
    """One pass over a CSV."""

    def __init__(self, file: TextIO, name: str):
        self.name = name
        self.reader = csv.reader(file)
        self.header = [column(field) for field in next(self.reader, [])]
        if not self.header:
            raise JobFailure(contract.INPUT, "%s is empty: it has no header" % name)
        self.places: dict[tuple[str, str], dict[str, int]] = {}
        for index, field in enumerate(self.header):
            category = _category(field)
            if category:
                prefix, kind, channel = category
                self.places.setdefault((prefix, channel), {})[kind] = index

    def key(self, key: str) -> Callable[[list[str]], str]:
        """How to take a grouping key's field out of a row."""
        if key in self.header:
            # With a name given twice, CellProfiler keeps the last.
            index = len(self.header) - 1 - self.header[::-1].index(key)
            return lambda fields: fields[index]
        row, col = self._find(_ROW_WORDS), self._find(_COLUMN_WORDS)
        if key == "Metadata_Well" and row is not None and col is not None:
            return lambda fields: fields[row] + fields[col]
        has = ", ".join(field for field in self.header if field.startswith("Metadata_"))
        raise JobFailure(
            contract.INPUT,
            "The CSV %s has no column %s, which the job's group names; its metadata columns "
            "are: %s" % (self.name, key, has or "none"),
        )

    def first_kind(self, key: str) -> str:
        """`int` for a column whose type its fields decide, "" for one that is always text."""
        is_column = key.startswith("Metadata_") and key.split("_")[1].lower() in _COLUMN_WORDS
        return "" if is_column or key not in self.header else "int"

    def records(self, rows: tuple[int, int] | None = None) -> Iterator[tuple[int, list[str]]]:
        """(row number, fields) of each row that isn't empty, within the range."""
        width = len(self.header)
        try:
            for number, fields in enumerate(self.reader, 1):
                if not fields or (rows and not rows[0] <= number <= rows[1]):
                    continue
                if len(fields) < width:
                    raise JobFailure(
                        contract.INPUT,
                        "Row %d of %s has %d fields, its header %d"
                        % (number, self.name, len(fields), width),
                    )
                yield number, fields
        except csv.Error as error:
            raise JobFailure(
                contract.INPUT, "%s is not a CSV that can be read: %s" % (self.name, error)
            ) from error

    def images(self, number: int, fields: list[str]) -> Iterator[Image]:
        """The files that a row needs."""
        for (prefix, channel), at in self.places.items():
            if "URL" in at:
                yield Image(channel, number, fields[at["URL"]])
                continue
            if "FileName" not in at:
                raise JobFailure(
                    contract.INPUT,
                    "%s has a column %sPathName_%s and no %sFileName_%s to go with it"
                    % (self.name, prefix, channel, prefix, channel),
                )
            folder = fields[at["PathName"]] if "PathName" in at else ""
            file = fields[at["FileName"]]
            if not file:
                raise JobFailure(
                    contract.INPUT,
                    "Row %d of %s names no file for channel %s" % (number, self.name, channel),
                )
            joined = file if file.startswith("/") or not folder else folder.rstrip("/") + "/" + file
            yield Image(channel, number, joined)

    def _find(self, words: tuple[str, ...]) -> int | None:
        for index, field in enumerate(self.header):
            if field.startswith("Metadata_") and field[len("Metadata_") :].lower() in words:
                return index
        return None


class _Seen:
    """The values met, for the sentence when none was the right one."""

    def __init__(self, group: Group):
        self.group = group
        self.values: list[dict[str, None]] = [{} for _ in group]
        self.met = [False for _ in group]

    def matches(self, values: list[str]) -> bool:
        """Whether a row's values are the group's."""
        all_equal = True
        for index, ((_, wanted), value) in enumerate(zip(self.group, values)):
            if value == wanted:
                self.met[index] = True
            else:
                all_equal = False
                if len(self.values[index]) <= _SHOWN:
                    self.values[index][value] = None
        return all_equal

    def sentence(self, name: str, kinds: list[str]) -> str:
        """Why no row matched, naming the first key whose value isn't in the CSV."""
        for index, (key, wanted) in enumerate(self.group):
            if self.met[index]:
                continue
            values = list(self.values[index])
            shown = ", ".join(values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
            hint = ""
            if kinds[index] in ("int", "float") and as_text_or(kinds[index], wanted) != wanted:
                hint = "; CellProfiler reads this column as numbers, so write %s" % as_text_or(
                    kinds[index], wanted
                )
            return "No row of %s has %s=%s: its values are %s%s" % (
                name, key, wanted, shown or "none (it has no rows)", hint,
            )  # fmt: skip
        return "No row of %s has %s together" % (name, format_group(self.group))


def as_text_or(kind: str, value: str) -> str:
    """`as_text`, or the value itself where it isn't of that kind."""
    try:
        return as_text(kind, value)
    except ValueError:
        return value
