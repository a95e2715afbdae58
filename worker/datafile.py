"""LoadData's CSVs, kept on this disk while jobs use them: one download, one look through, one copy.

What a job costs must not grow with the CSV, which may describe many thousands of jobs. A kept file
belongs to one version of its object (by ETag); a new version replaces it, once the jobs that hold
the old one are over.
"""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from array import array
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator

from chalicelib.contract.groups import Group
from worker import loaddata
from worker.inputs import Wanted, download, etag_of
from worker.loaddata import Selection, Table

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Files kept beyond those in use: jobs of two steps may be mixed in one queue, seldom of more.
KEPT = 2


class DataFile:
    """A CSV at `path`, which users know as `name`. Slots may share it.

    Its rows are also kept in a form that a single one can be read of. Raises JobFailure (cause
    `input`) for a CSV that CellProfiler couldn't read either.
    """

    def __init__(self, path: Path, name: str):
        self.path = path
        self.name = name
        self._rows = path.with_name("rows.jsonl")
        self._numbers = array("Q")
        self._offsets = array("Q")
        self._groups: dict[tuple[str, ...], dict[tuple[str, ...], array[int]]] = {}
        self._lock = threading.Lock()
        with loaddata.open_csv(str(path)) as file, self._rows.open("wb") as rows:
            self._table = Table(file, name)
            for number, fields in self._table.records():
                self._numbers.append(number)
                self._offsets.append(rows.tell())
                rows.write(json.dumps(fields).encode("ascii") + b"\n")

    def select(self, group: Group, rows: tuple[int, int] | None = None) -> Selection:
        """As `loaddata.select`, whose answer this is."""
        keys = tuple(key for key, _ in group)
        with self._lock:
            if keys not in self._groups:
                self._groups[keys] = self._grouped(keys)
        places = self._groups[keys].get(tuple(value for _, value in group), array("Q"))
        if rows:
            first, last = rows
            places = array("Q", (at for at in places if first <= self._numbers[at] <= last))
        if not places:
            # The slow way, which says why.
            return loaddata.select(str(self.path), self.name, group, rows)
        found: list[loaddata.Image] = []
        with self._rows.open("rb") as file:
            for at in places:
                file.seek(self._offsets[at])
                found += self._table.images(self._numbers[at], json.loads(file.readline()))
        return Selection(len(places), tuple(found))

    def _grouped(self, keys: tuple[str, ...]) -> dict[tuple[str, ...], array[int]]:
        """The places of the rows of each group. The columns' types are those of all rows."""
        values = [self._table.key(key) for key in keys]
        kinds = [self._table.first_kind(key) for key in keys]
        columns: list[list[str]] = [[] for _ in keys]
        with self._rows.open("rb") as file:
            for line in file:
                fields = json.loads(line)
                for index, value in enumerate(values):
                    text = value(fields)
                    columns[index].append(text)
                    kinds[index] = loaddata.widen(kinds[index], text) if kinds[index] else ""
        groups: dict[tuple[str, ...], array[int]] = {}
        for place, row in enumerate(zip(*columns)):
            texts = tuple(loaddata.as_text(kind, text) for kind, text in zip(kinds, row))
            groups.setdefault(texts, array("Q")).append(place)
        return groups


@dataclass
class _Entry:
    """A data file in a folder of its own, the version it is of, and how many jobs hold it."""

    folder: Path
    etag: str = ""
    file: DataFile | None = None
    jobs: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class DataFiles:
    """The data files of one container, shared by its slots. `move` gives a CSV's path as it has to
    read on this disk; None where they are right as they are."""

    def __init__(self, s3: S3Client, folder: Path, move: Callable[[str], str] | None = None):
        self._s3 = s3
        self._folder = folder
        self._move = move
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    @contextmanager
    def held(self) -> Iterator[Held]:
        """What is taken of the files inside the `with` stays until its end."""
        held = Held(self)
        try:
            yield held
        finally:
            for entry in held.entries:
                self._release(entry)

    def take(self, bucket: str, key: str) -> _Entry:
        """The entry of an object's present version, held once more. Raises JobFailure."""
        what = Wanted(bucket, key, self._folder, "The data file")
        while True:
            etag = etag_of(self._s3, what)
            entry = self._enter((bucket, key), etag)
            try:
                with entry.lock:
                    if entry.file is None:
                        self._make(entry, what)
                if entry.etag == etag:
                    return entry
            except BaseException:
                self._release(entry)
                raise
            self._release(entry)

    def _enter(self, name: tuple[str, str], etag: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or (entry.file and entry.etag != etag):
                if entry and not entry.jobs:
                    shutil.rmtree(str(entry.folder), ignore_errors=True)
                self._entries.pop(name, None)
                entry = self._entries[name] = _Entry(self._folder / uuid.uuid4().hex)
            self._entries.move_to_end(name)
            entry.jobs += 1
            return entry

    def _make(self, entry: _Entry, what: Wanted) -> None:
        path = entry.folder / what.key.rpartition("/")[2]
        entry.etag = download(self._s3, Wanted(what.bucket, what.key, path, what.what))
        file = DataFile(path, what.key)
        if self._move:
            moved = entry.folder / ("moved-" + path.name)
            loaddata.rewrite(str(path), str(moved), self._move)
            moved.rename(path)
        entry.file = file

    def _release(self, entry: _Entry) -> None:
        with self._lock:
            entry.jobs -= 1
            idle = [name for name, each in self._entries.items() if not each.jobs]
            for name in idle[: max(0, len(self._entries) - KEPT)]:
                shutil.rmtree(str(self._entries.pop(name).folder), ignore_errors=True)
            if not entry.jobs and entry not in self._entries.values():
                shutil.rmtree(str(entry.folder), ignore_errors=True)


class Held:
    """What one job holds of the data files."""

    def __init__(self, files: DataFiles):
        self._files = files
        self.entries: list[_Entry] = []

    def get(self, bucket: str, key: str) -> DataFile:
        """The data file, here until the job is over. Raises JobFailure."""
        entry = self._files.take(bucket, key)
        self.entries.append(entry)
        assert entry.file is not None
        return entry.file
