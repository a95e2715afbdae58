"""The groups of a job file, in every form that DCP and CellProfiler write them.

    {"Metadata": "Metadata_Plate=P1,Metadata_Well=A01"}        text
    {"Metadata": {"Metadata_Plate": "P1", …}}                   the same as an object
    {"Metadata_Plate": "P1", "Metadata_Well": "A01"}            bare; needs output_structure
    [{"Metadata_Plate": "P1", "Metadata_Well": "A01"}, [1, 2]]  from `cellprofiler --print-groups`

Forms may be mixed. Keys that begin with `_comment` are ignored.
"""

from collections.abc import Callable, Iterator
from typing import Any

from chalicelib.contract.groups import Group, MessageError, parse_group
from chalicelib.core.jobfile_header import COMMENT, PROGRESS_GROUPS, describe, top_level
from chalicelib.core.jobfile_problems import shorten, show
from chalicelib.core.jobfile_stream import OPENING, JobFileStream, Opener
from chalicelib.errors import Problem

#: SQS takes 1 MiB, but queues made by DCP keep its old limit, in bytes.
MAX_MESSAGE_BYTES = 262_144

_MAX_KEYS = 100
_EXPECTED = 'expected {"Metadata": "Metadata_Plate=…,Metadata_Well=…"}'
_EXPECTED_LIST = 'expected [{"Metadata_Plate": "…"}, [image numbers]]'

#: (key, kind, value) of one member of an object; an object's value is its members.
Member = tuple[str, str, Any]


class GroupReader:
    """One pass over the groups of a job file.

    What is wrong with a group goes to `report`, which may raise. `bare_allowed` says
    whether the file has an output_structure.
    """

    def __init__(
        self,
        open_stream: Opener,
        *,
        report: Callable[[Problem], None],
        on_progress: Callable[[int], None] | None = None,
        bare_allowed: bool = True,
    ):
        self._open = open_stream
        self._report = report
        self._on_progress = on_progress
        self._bare_allowed = bare_allowed
        self.ignored_keys = 0
        self.first_ignored = ""

    def groups(self) -> Iterator[tuple[int, Group]]:
        """Each well-formed group with its position. Raises UnreadableError."""
        with JobFileStream(self._open) as stream:
            for key, kind, _ in top_level(stream):
                if key == "groups" and kind == "start_array":
                    yield from self._groups(stream)
                else:
                    stream.skip(kind)

    def _groups(self, stream: JobFileStream) -> Iterator[tuple[int, Group]]:
        for index, (kind, value) in enumerate(stream.events):
            if kind == "end_array":
                break
            stream.where = index
            try:
                group = self._group(stream, kind, value)
            except _GroupError as error:
                self._report(error.problem(stream.place()))
            else:
                yield index, group
            if self._on_progress and (index + 1) % PROGRESS_GROUPS == 0:
                self._on_progress(index + 1)

    def _group(self, stream: JobFileStream, kind: str, value: Any) -> Group:
        if kind == "start_map":
            return self._from_object(stream, _members(stream, inner=True))
        if kind == "start_array":
            return _from_members(_read_print_groups(stream))
        raise _GroupError(_EXPECTED, describe(kind, value))

    def _from_object(self, stream: JobFileStream, members: list[Member]) -> Group:
        if len(members) == 1 and members[0][:2] == ("Metadata", "string"):
            return _from_text(members[0][2])  # nearly always
        metadata = [member for member in members if member[0] == "Metadata"]
        if not metadata:
            self._check_bare(members)
            return _from_members(members)
        if len(metadata) > 1:
            raise _GroupError("Metadata stands there twice")
        if len(members) > 1:
            self._ignore_others(stream.place(), members)
        _, kind, value = metadata[0]
        if kind == "string":
            return _from_text(value)
        if kind == "start_map":
            return _from_members(value)
        raise _GroupError(_EXPECTED, f'{{"Metadata": {describe(kind, value)}}}')

    def _check_bare(self, members: list[Member]) -> None:
        if members and not self._bare_allowed:
            self._bare_allowed = True  # say it once
            pattern = show("/".join(key for key, _, _ in members))
            raise _GroupError(
                "a group of bare keys needs an output_structure",
                hint=f'for example "output_structure": {pattern}',
            )

    def _ignore_others(self, place: str, members: list[Member]) -> None:
        others = [key for key, _, _ in members if key != "Metadata"]
        if any(key.startswith("Metadata_") for key in others):
            raise _GroupError('"Metadata" and bare keys can\'t be mixed in one group')
        self.ignored_keys += len(others)
        self.first_ignored = self.first_ignored or f"{show(others[0])} in {place}"


def _from_text(text: str) -> Group:
    if len(text) > MAX_MESSAGE_BYTES:
        raise _GroupError(f"a message holds at most {MAX_MESSAGE_BYTES:,} bytes", show(text))
    try:
        return parse_group(text)
    except MessageError as error:
        hint = "CellProfiler takes KEY=VALUE,KEY=VALUE"
        raise _GroupError(shorten(str(error)), show(text), hint) from error


def _from_members(members: list[Member]) -> Group:
    if not members:
        raise _GroupError("a group without keys", hint="does the pipeline group its images?")
    if len(members) > _MAX_KEYS:
        raise _GroupError(f"more than {_MAX_KEYS} keys in one group")
    pairs = []
    for key, kind, value in members:
        text = _as_text(kind, value)
        if text is None:
            expected = f"{shorten(key)} is {describe(kind, value)}, and must be text"
            raise _GroupError(expected, hint="write it as it stands in the data file, in quotes")
        if "," in text or "=" in text:
            raise _GroupError(f"{shorten(key)} is {show(text)}: a value can't hold , or =")
        if "," in key or "=" in key:
            raise _GroupError(f"the key {show(key)} can't hold , or =")
        pairs.append((key.strip(), text))
    return tuple(pairs)


def _as_text(kind: str, value: Any) -> str | None:
    if kind == "string":
        return str(value)
    if kind == "number" and "E" not in (text := str(value)):
        return text  # a decimal keeps its digits; 1e5 has lost its spelling
    return None


def _members(stream: JobFileStream, *, inner: bool) -> list[Member]:
    """The members of the object that was opened last, comments left out; `inner` says whether
    an object under "Metadata" is read too."""
    members: list[Member] = []
    for kind, key in stream.events:
        if kind == "end_map":
            break
        kind, value = next(stream.events)
        if kind in OPENING:
            if inner and kind == "start_map" and key == "Metadata":
                value = _members(stream, inner=False)
            else:
                stream.skip(kind)
        if not key.startswith(COMMENT) and len(members) <= _MAX_KEYS:
            members.append((key, kind, value))
    return members


def _read_print_groups(stream: JobFileStream) -> list[Member]:
    """The members of the object in `[{…}, [image numbers]]`, whose "[" has just been read."""
    kind, value = next(stream.events)
    if kind == "end_array":
        raise _GroupError(_EXPECTED_LIST, "an empty list")
    members = _members(stream, inner=False) if kind == "start_map" else None
    if members is None:
        stream.skip(kind)
    stream.skip("start_array")  # the image numbers, and the end of the list
    if members is None:
        raise _GroupError(_EXPECTED_LIST, f"a list with {describe(kind, value)}")
    return members


class _GroupError(Exception):
    """A group that can't be used; its position is added where it is known."""

    def __init__(self, expected: str, found: str = "", hint: str = ""):
        super().__init__(expected)
        self._expected, self._found, self._hint = expected, found, hint

    def problem(self, where: str) -> Problem:
        return Problem(where=where, expected=self._expected, found=self._found, hint=self._hint)
