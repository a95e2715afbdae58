"""Everything in a job file but its groups: read, checked, put in the form the rest expects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from posixpath import splitext
from typing import Any, Literal

from chalicelib.core.jobfile_embedded import EmbeddedError, read_object
from chalicelib.core.jobfile_paths import path_fault, tidy
from chalicelib.core.jobfile_problems import Problems, shorten, show
from chalicelib.core.jobfile_stream import (
    CLOSING,
    OPENING,
    JobFileStream,
    Opener,
    UnreadableError,
)
from chalicelib.core.jobfile_then import THEN, TOLERANCE, then_fault, tolerance_fault
from chalicelib.errors import Problem

#: Keys that begin like this are ignored, and may repeat.
COMMENT = "_comment"
#: A file with more groups is refused: what is kept of each, though little, must have a bound.
MAX_GROUPS = 2_000_000
#: `on_progress` is called whenever this many more groups have been read.
PROGRESS_GROUPS = 1_000

_PATHS = ("pipeline", "data_file", "input", "output", "output_structure")
_OBJECTS = ("config", "fleet")
_KNOWN = (*_PATHS, "groups", *_OBJECTS, THEN, TOLERANCE)
_REQUIRED = ("pipeline", "data_file", "input", "output", "groups")
_MAY_BE_EMPTY = ("input", "output_structure")
_KINDS: Mapping[str, Literal["csv", "txt", "h5"]] = {".csv": "csv", ".txt": "txt", ".h5": "h5"}
_MAX_UNKNOWN = 20


@dataclass(frozen=True, kw_only=True)
class JobFileHeader:
    """Everything but the groups. Paths are relative to bucket roots; `groups` is how many
    there are, duplicates included (0: not counted). `config` and `fleet` hold raw keys."""

    pipeline: str
    data_file: str
    kind: Literal["csv", "txt", "h5"]
    input: str
    output: str
    output_structure: str
    config: Mapping[str, Any] | None = None
    fleet: Mapping[str, Any] | None = None
    groups: int = 0
    #: The job file that is to follow, as written, and the failures that don't keep it: a number of
    #: jobs, or a share like "5%".
    then: str = ""
    then_if_failed_at_most: str = ""


def top_level(stream: JobFileStream) -> Iterator[tuple[str, str, Any]]:
    """Each key of the file, with the first event of its value: (key, kind, value).

    The consumer reads past the value before it asks for the next key.
    """
    kind, _ = next(stream.events)
    if kind != "start_map":
        keys = ", ".join(_REQUIRED)
        raise UnreadableError(
            Problem(where="the file", expected=f"expected an object with the keys {keys}")
        )
    for kind, key in stream.events:
        if kind == "end_map":
            break
        stream.where = show(key)
        kind, value = next(stream.events)
        yield key, kind, value
    for _ in stream.events:  # nothing may follow: the parser says so if it does
        pass


class HeaderReader:
    """One pass over the whole file for all keys but the groups, which are only counted."""

    def __init__(self, problems: Problems, on_progress: Callable[[int], None]):
        self.problems = problems
        self.warnings: list[str] = []
        self.values: dict[str, Any] = {}  # of known keys, whatever is wrong with them
        self.unknown: list[str] = []
        self.unknown_count = 0
        self._on_progress = on_progress

    def read(self, open_stream: Opener) -> JobFileHeader | None:
        """The header, or None after adding problems. Raises JobFileError if unreadable."""
        problems_before = self.problems.total
        try:
            with JobFileStream(open_stream) as stream:
                for key, kind, value in top_level(stream):
                    self._take(stream, key, kind, value)
        except UnreadableError as error:
            self.problems.stop(error.problem)
        self._check()
        return self._header() if self.problems.total == problems_before else None

    # --- reading

    def _take(self, stream: JobFileStream, key: str, kind: str, value: Any) -> None:
        if key.startswith(COMMENT):
            stream.skip(kind)
        elif key not in _KNOWN:
            self._note_unknown(key)
            stream.skip(kind)
        elif key in self.values:
            self._problem(key, "this key stands in the file twice", hint="keep one of them")
            stream.skip(kind)
        elif key == "groups" and kind == "start_array":
            self.values[key] = self._count_groups(stream)
        elif key in _OBJECTS and kind == "start_map":
            self.values[key] = self._read_object(key, stream)
        elif key in (*_PATHS, THEN) and kind == "string":
            self.values[key] = value
        elif key == TOLERANCE and kind in ("string", "number"):
            self.values[key] = str(value)
        else:
            self.values[key] = None
            self._problem(key, f"expected {_expected(key)}", describe(kind, value))
            stream.skip(kind)

    def _note_unknown(self, key: str) -> None:
        self.unknown_count += 1
        if len(self.unknown) < _MAX_UNKNOWN:
            self.unknown.append(key[:100])

    def _count_groups(self, stream: JobFileStream) -> int:
        count = depth = 0
        for kind, _ in stream.events:
            if depth == 0:
                if kind == "end_array":
                    break
                stream.where = count
                count += 1
                if count % PROGRESS_GROUPS == 0:
                    self._progress(count)
            if kind in OPENING or kind in CLOSING:
                depth = stream.deeper(depth, kind)
        return count

    def _progress(self, count: int) -> None:
        if count > MAX_GROUPS:
            self.problems.stop(
                Problem(
                    where="groups",
                    expected=f"more than {MAX_GROUPS:,} groups in one job file",
                    hint="split it",
                )
            )
        self._on_progress(count)

    def _read_object(self, key: str, stream: JobFileStream) -> dict[str, Any] | None:
        try:
            return read_object(stream)
        except EmbeddedError as error:
            self._problem(key, str(error))
            return None

    # --- checking

    def _check(self) -> None:
        for key in _REQUIRED:
            if key not in self.values:
                like = _nearest(key, self.unknown)
                hint = f"the file has {show(like)}: is it misspelt?" if like else ""
                self._problem(key, "this key is missing", hint=hint)
        for key in _PATHS:
            if isinstance(self.values.get(key), str):
                self._check_path(key)
        if self.values.get("groups") == 0:
            self._problem("groups", "the list is empty: there is nothing to run")
        if isinstance(self.values.get("data_file"), str):
            self._check_data_file(self.values["data_file"])
        self._check_then()
        self._warn_unknown()

    def _check_path(self, key: str) -> None:
        written = self.values[key]
        path = self.values[key] = tidy(written)
        if fault := path_fault(written):
            self.values[key] = None
            self._problem(key, fault[0], show(written), fault[1])
        elif not path and key not in _MAY_BE_EMPTY:
            self.values[key] = None
            self._problem(key, f"expected {_expected(key)}", show(written))
        elif path != written:
            self.warnings.append(f"{key} {show(written)} is read as {show(path)}")

    def _check_data_file(self, data_file: str) -> None:
        pipeline = self.values.get("pipeline")
        kind = _KINDS.get(splitext(data_file)[1].lower())
        if kind is None:
            expected = "expected a name ending in .csv, .txt or .h5"
            self._problem("data_file", expected, show(data_file))
        elif isinstance(pipeline, str) and pipeline != data_file:
            both = "a batch file holds pipeline and images: write {} for both"
            if kind == "h5":
                hint = both.format(show(data_file))
                self._problem("pipeline", "expected the .h5 of data_file", show(pipeline), hint)
            elif splitext(pipeline)[1].lower() == ".h5":
                hint = both.format(show(pipeline))
                self._problem("data_file", "expected the .h5 of pipeline", show(data_file), hint)

    def _check_then(self) -> None:
        then, tolerance = self.values.get(THEN), self.values.get(TOLERANCE)
        if then and (fault := then_fault(then)):
            self._problem(THEN, fault[0], show(then), fault[1])
        if tolerance is not None and (fault := tolerance_fault(tolerance)):
            self._problem(TOLERANCE, fault[0], show(tolerance), fault[1])
        if tolerance and THEN not in self.values:
            self.warnings.append(f"{TOLERANCE} has no effect without {THEN}")

    def _warn_unknown(self) -> None:
        for key in self.unknown:
            like = _nearest(key, _KNOWN)
            nearest = f"; the nearest known key is {show(like)}" if like else ""
            self.warnings.append(f"the key {show(key)} is not known, and ignored{nearest}")
        if self.unknown_count > len(self.unknown):
            more = self.unknown_count - len(self.unknown)
            self.warnings.append(f"{more:,} more unknown keys are ignored")

    def _header(self) -> JobFileHeader:
        values = {key: self.values[key] for key in _KNOWN if key in self.values}
        kind = _KINDS[splitext(values["data_file"])[1].lower()]
        return JobFileHeader(**{"output_structure": "", "kind": kind, **values})

    def _problem(self, where: str, expected: str, found: str = "", hint: str = "") -> None:
        self.problems.add(Problem(where=where, expected=expected, found=found, hint=hint))


def describe(kind: str, value: Any) -> str:
    """An event as the user would name it."""
    if kind == "string":
        return show(value)
    if kind == "number":
        return shorten(str(value))
    if kind == "boolean":
        return "true" if value else "false"
    return {"start_map": "an object", "start_array": "a list"}.get(kind, "null")


def _expected(key: str) -> str:
    if key == "groups":
        return "a list of groups"
    if key in _OBJECTS:
        return "an object"
    return {
        "pipeline": "the path of the pipeline in the workspace bucket",
        "data_file": "the path of the .csv, .txt or .h5 in the workspace bucket",
        "input": 'the path of the input folder in the source bucket, or ""',
        "output": "the path of the output folder in the destination bucket",
        "output_structure": 'a pattern like "Metadata_Plate/Metadata_Well", or ""',
        THEN: "the key of the job file that is to follow",
        TOLERANCE: 'a number of jobs, or a share like "5%"',
    }[key]


def _nearest(key: str, keys: Sequence[str]) -> str | None:
    lower = {candidate.lower(): candidate for candidate in keys}
    found = get_close_matches(key.lower(), lower, n=1)
    return lower[found[0]] if found else None
