"""The checks on groups that need to know the header, and the groups before."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.contract import JobMessage
from chalicelib.contract.groups import Group, format_group
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.jobfile_groups import MAX_MESSAGE_BYTES, GroupReader
from chalicelib.core.jobfile_paths import UNUSABLE, folder_fault
from chalicelib.core.jobfile_problems import Problems, show
from chalicelib.core.jobfile_stream import Opener
from chalicelib.core.jobfile_templates import Folders, canonical
from chalicelib.errors import Problem

_ROOM_FOR_IDS = 512  # bytes of a message for the run's id and the submission's
_LONGEST_ESCAPE = 12  # bytes that one character can take in a message


class GroupChecker:
    """Checks every group of a file against the header and the others.

    `header` holds the header's values as far as they are right: a wrong one doesn't hide
    what is wrong with the groups.
    """

    def __init__(self, header: Mapping[str, Any], problems: Problems, *, check_if_done: bool):
        self._problems = problems
        self._check_if_done = check_if_done
        self._structure: str | None = header.get("output_structure", "")
        self._folders = Folders(header.get("output") or "", self._structure or "")
        self._folders_known = bool(header.get("output")) and self._structure is not None
        groups = header.get("groups") or 0
        self._seen = CompactSet(expect=groups)
        self._seen_folders = CompactSet(expect=groups)
        self._message_bytes = _ROOM_FOR_IDS + _bytes_of_header(header)
        self._first_keys: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._keys_fault: str | None = None
        self._ignored = ""
        self._shared = 0
        self._first_shared = ""
        self.duplicates = 0

    @property
    def jobs(self) -> int:
        return len(self._seen)

    def read(self, open_stream: Opener, on_progress: Callable[[int], None]) -> None:
        """Check all groups, adding to the problems. Raises UnreadableError."""
        reader = GroupReader(
            open_stream,
            report=self._problems.add,
            on_progress=on_progress,
            bare_allowed=self._structure != "",
        )
        for index, group in reader.groups():
            self._check(index, group)
        if reader.ignored_keys:
            self._ignored = (
                f"{reader.ignored_keys:,} keys beside Metadata are ignored, "
                f"first {reader.first_ignored}"
            )

    def warnings(self) -> list[str]:
        """What the user should know of groups that are right."""
        warnings = [self._ignored] if self._ignored else []
        unfilled = re.findall(r"Metadata_\w+", self._folders.unfilled(self._first_keys))
        if unfilled:
            names = ", ".join(dict.fromkeys(unfilled))
            warnings.append(f"output_structure names {names}, which the groups don't have")
        if self._shared:
            left_out = ", ".join(self._folders.left_out(self._first_keys)) or "none of the keys"
            warnings.append(
                f"{self._shared:,} of {self.jobs:,} groups share the output folder of an earlier "
                f"one, first {self._first_shared}: output_structure leaves out {left_out}. What "
                "one writes replaces what another wrote under the same name"
            )
        return warnings

    def _check(self, index: int, group: Group) -> None:
        keys, values = zip(*group, strict=True)
        if keys != self._keys:
            self._keys, self._keys_fault = keys, self._fault_of_keys(keys)
        if self._keys_fault:
            self._add(index, self._keys_fault)
            return
        text = format_group(group)
        if not all(map(str.strip, values)):
            self._add(index, "a value is empty", show(text))
        elif not text.isprintable() and (match := UNUSABLE.search(text)):
            self._add(index, f"a value can't hold the character U+{ord(match[0]):04X}", show(text))
        elif not self._seen.add(canonical(text)):
            self.duplicates += 1
        elif self._folders_known:
            self._check_folder(index, text, self._folders.of(group))

    def _check_folder(self, index: int, text: str, folder: str) -> None:
        if fault := folder_fault(folder):
            self._add(index, f"output folder {show(folder)}: {fault[0]}", show(text), fault[1])
        elif self._too_long(text, folder):
            self._add(index, f"its message is over {MAX_MESSAGE_BYTES:,} bytes", show(text))
        elif not self._seen_folders.add(folder):
            self._note_shared(index, text, folder)

    def _note_shared(self, index: int, text: str, folder: str) -> None:
        if self._structure and not self._check_if_done:
            self._shared += 1
            self._first_shared = self._first_shared or f"groups[{index}] ({show(folder)})"
            return
        if not self._structure:
            hint = "give an output_structure that tells them apart"
        else:
            left_out = ", ".join(self._folders.left_out(self._first_keys))
            hint = "CHECK_IF_DONE_BOOL is on, so that it would be skipped"
            hint += f"; output_structure leaves out {left_out}" if left_out else ""
        self._add(
            index,
            f"another group before it has the same output folder {show(folder)}",
            show(text),
            hint,
        )

    def _fault_of_keys(self, keys: tuple[str, ...]) -> str | None:
        if len(set(keys)) < len(keys):
            return f"a key stands there twice: {_listed(keys)}"
        for key in keys:
            if not key.startswith("Metadata_") or key == "Metadata_":
                return f"the key {show(key)}: CellProfiler's keys begin with Metadata_"
            if UNUSABLE.search(key):
                return f"the key {show(key)} holds a control character"
        self._first_keys = self._first_keys or keys
        if set(keys) != set(self._first_keys):
            return (
                f"its keys are {_listed(keys)}, and those of the groups before it "
                f"{_listed(self._first_keys)}: a pipeline groups by one set of keys"
            )
        return None

    def _too_long(self, text: str, folder: str) -> bool:
        most = self._message_bytes + _LONGEST_ESCAPE * (len(text) + len(folder))
        if most <= MAX_MESSAGE_BYTES:
            return False
        quoted = JobMessage("", "", "", "", "", (("", text),), folder, "").encode()
        return self._message_bytes + len(quoted) > MAX_MESSAGE_BYTES

    def _add(self, index: int, expected: str, found: str = "", hint: str = "") -> None:
        self._problems.add(
            Problem(where=f"groups[{index}]", expected=expected, found=found, hint=hint)
        )


def _bytes_of_header(header: Mapping[str, Any]) -> int:
    message = JobMessage(
        pipeline=header.get("pipeline") or "",
        data_file=header.get("data_file") or "",
        input=header.get("input") or "",
        output=header.get("output") or "",
        output_structure=header.get("output_structure") or "",
        group=(),
        folder="",
        job="",
    )
    return len(message.encode())


def _listed(keys: tuple[str, ...]) -> str:
    listed = ", ".join(keys[:10]) + (", …" if len(keys) > 10 else "")
    return show(listed)
