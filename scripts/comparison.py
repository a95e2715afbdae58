"""Are two folders of CellProfiler's results the same? Every file, every column, every value.

Tables are compared as text, cell by cell, but for columns that tell how long a module took or
where the images lay on that machine; all other files byte for byte.
"""

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Columns that differ from machine to machine, also where image columns stand in object tables.
_OF_THE_MACHINE = re.compile(r"^(Image_)?(ExecutionTime|(Objects)?(PathName|URL))_")
#: A row of the table of the whole experiment that tells when it was run.
_TIME_OF_RUN = "Run_Timestamp"
_TABLES = (".csv", ".tsv", ".txt")
#: No more differences of one file are told than this.
MOST_TOLD = 5

Row = list[str]


@dataclass(frozen=True)
class Compared:
    """One file. `values` counts the cells compared (0 for a file that is no table), `told` holds
    the first of its `differences`."""

    name: str
    values: int = 0
    differences: int = 0
    told: tuple[str, ...] = ()


def compare_folders(ours: Path, theirs: Path) -> list[Compared]:
    """Compare all files below two folders, by their relative names."""
    here, there = _files(ours), _files(theirs)
    return [_compare(name, here.get(name), there.get(name)) for name in sorted({*here, *there})]


def _files(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }


def _compare(name: str, ours: Path | None, theirs: Path | None) -> Compared:
    if ours is None:
        return Compared(name, differences=1, told=("is missing from CellFleet's results",))
    if theirs is None:
        return Compared(name, differences=1, told=("is only in CellFleet's results",))
    if ours.suffix.lower() in _TABLES:
        return compare_tables(name, _read(ours), _read(theirs))
    if ours.read_bytes() != theirs.read_bytes():
        return Compared(name, differences=1, told=("the bytes differ",))
    return Compared(name)


def _read(path: Path) -> list[Row]:
    # The table of the experiment holds the whole pipeline in one cell.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        delimiter = "," if "," in file.readline() else "\t"
        file.seek(0)
        return list(csv.reader(file, delimiter=delimiter))


def compare_tables(name: str, ours: list[Row], theirs: list[Row]) -> Compared:
    """Compare two tables with their headers (of two rows where objects were combined)."""
    heads = _header_rows(theirs)
    if ours[:heads] != theirs[:heads]:
        return Compared(name, differences=1, told=(_other_columns(ours[:heads], theirs[:heads]),))
    if len(ours) != len(theirs):
        told = f"{len(ours) - heads} rows, {len(theirs) - heads} in the direct run"
        return Compared(name, differences=1, told=(told,))
    columns = theirs[heads - 1] if theirs else []
    kept = [i for i, column in enumerate(columns) if not _OF_THE_MACHINE.match(column)]
    values, found = 0, []
    for number, (mine, direct) in enumerate(zip(ours[heads:], theirs[heads:], strict=True), 1):
        if direct[:1] == [_TIME_OF_RUN] == mine[:1]:
            continue
        values += len(kept)
        found += [f"row {number}, {text}" for text in _row_differences(mine, direct, columns, kept)]
    return Compared(name, values, len(found), tuple(found[:MOST_TOLD]))


def _header_rows(table: list[Row]) -> int:
    """Two where the first names objects and the second their measurements."""
    combined = len(table) > 1 and "ImageNumber" in table[1] and "ImageNumber" not in table[0]
    return 2 if combined else min(1, len(table))


def _other_columns(ours: list[Row], theirs: list[Row]) -> str:
    mine, direct = ({*rows[-1]} if rows else set() for rows in (ours, theirs))
    parts = [
        f"{text} {', '.join(sorted(names)[:MOST_TOLD])}"
        for text, names in (("lacks columns", direct - mine), ("has more columns:", mine - direct))
        if names
    ]
    return "; ".join(parts) or "the columns stand in another order"


def _row_differences(ours: Row, theirs: Row, columns: Row, kept: list[int]) -> Iterator[str]:
    if len(ours) != len(theirs) or len(theirs) != len(columns):
        yield f"{len(ours)} cells, {len(theirs)} in the direct run, {len(columns)} in the header"
        return
    for index in kept:
        if ours[index] != theirs[index]:
            yield f"{columns[index]}: {ours[index]!r}, {theirs[index]!r} in the direct run"
