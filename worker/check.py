"""Did CellProfiler succeed? Its exit code and done file alone don't tell.

It also ends well when it skipped modules it doesn't know, stopped in the middle of a pipeline,
or went on after an error: so its output and the files that it wrote are looked at too.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from chalicelib import contract
from worker import diagnosis
from worker.engine import Finished
from worker.failures import JobFailure

# Columns of an image table that are filled in before any module has run; means over objects
# are "nan" where nothing was measured.
_GIVEN = re.compile(
    r"^(ImageNumber$|(Group|Metadata|Series|Frame|Channel|ImageSet|Mean|Median|StDev|"
    r"(Objects)?(FileName|PathName|URL))_)"
)
_NAMES_FILE = re.compile(r"^(FileName|PathName|URL)_")


@dataclass(frozen=True)
class Expected:
    """What a run has to give: `image_sets` is None where only CellProfiler can count them;
    `image_csv` is the base name of the per-image table, "" for none that is known."""

    image_sets: int | None
    image_csv: str
    always_continue: bool = False


@dataclass(frozen=True)
class Results:
    """The files of a good run, relative to its output folder, and what went wrong all the
    same: the image sets that `--always-continue` left out."""

    files: tuple[Path, ...]
    module_errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    """An image table: the numbers of its image sets, and of those without a measurement."""

    image_sets: frozenset[str]
    blank: frozenset[str]


def check(finished: Finished, output: Path, expected: Expected) -> Results:
    """The results of a run. Raises JobFailure when it doesn't count as done."""
    unloaded = diagnosis.load_failure(finished)
    if unloaded:
        raise unloaded
    if finished.exit_code != 0 or finished.done != "Complete":
        raise diagnosis.failure(finished)
    if finished.module_errors and not expected.always_continue:
        raise diagnosis.failure(finished)
    files = tuple(sorted(path.relative_to(output) for path in output.rglob("*") if path.is_file()))
    if not files:
        raise JobFailure(
            contract.PIPELINE,
            "CellProfiler finished and wrote no file: the pipeline has no module that exports "
            "or saves, or saves outside the default output folder",
        )
    tables = [table for table in (_read(output / file) for file in files) if table]
    _check_tables(tables, files, expected, finished.module_errors)
    return Results(files, finished.signs if finished.module_errors else ())


def _check_tables(
    tables: list[_Table], files: tuple[Path, ...], expected: Expected, errors: int
) -> None:
    name = expected.image_csv
    if name and name not in {file.name for file in files}:
        raise JobFailure(
            contract.CRASH, "CellProfiler finished without writing %s" % expected.image_csv
        )
    if not tables:
        return
    found = frozenset().union(*(table.image_sets for table in tables))
    blank = frozenset().union(*(table.blank for table in tables))
    wanted = len(found) if expected.image_sets is None else expected.image_sets
    if not found or len(found) != wanted:
        raise JobFailure(
            contract.CRASH,
            "The image table has %d image sets, expected %d" % (len(found), wanted or 1),
        )
    if blank and not expected.always_continue:
        raise JobFailure(
            contract.CRASH,
            "The image table has no measurements for image set %s" % ", ".join(sorted(blank)),
        )
    if max(len(blank), errors) >= wanted:
        raise JobFailure(
            contract.CRASH, "A module failed in every image set, so that nothing was measured"
        )


def _read(path: Path) -> _Table | None:
    """A file as an image table; None for every other file."""
    if path.suffix.lower() not in (".csv", ".txt"):
        return None
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        first = file.readline()
        delimiter = "," if "," in first else "\t"
        header = next(csv.reader([first], delimiter=delimiter), [])
        is_image_table = (
            "ImageNumber" in header
            and "ObjectNumber" not in header
            and any(_NAMES_FILE.match(name) for name in header)
        )
        if not is_image_table:
            return None
        number = header.index("ImageNumber")
        measured = [index for index, name in enumerate(header) if not _GIVEN.match(name)]
        sets, blank = set(), set()
        for fields in csv.reader(file, delimiter=delimiter):
            if len(fields) <= number:
                continue
            sets.add(fields[number])
            values = [fields[index] for index in measured if index < len(fields)]
            if measured and not any(value.strip() for value in values):
                blank.add(fields[number])
    return _Table(frozenset(sets), frozenset(blank))
