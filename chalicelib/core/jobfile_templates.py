"""What is computed for every single group, made fast: its output folder and its message.

Both are defined by the contract. Here the contract's own functions are run once on marks in
place of the values, and the result becomes a template that every group fills in.
"""

import json
from collections.abc import Sequence

from chalicelib.contract import JobMessage
from chalicelib.contract.groups import Group, output_folder, output_leaf, structure_keys
from chalicelib.core.jobfile_header import JobFileHeader

_MARK = "\0"  # never part of a path or value that was checked
_MAX_TEMPLATES = 100
_quote = json.encoder.encode_basestring_ascii


def canonical(group_text: str) -> str:
    """The same text for groups that differ in the order of their keys only."""
    return ",".join(sorted(group_text.split(",")))


class Folders:
    """The output folders of groups: `contract.groups.output_folder`."""

    def __init__(self, output: str, structure: str):
        self._output = output
        self._structure = structure
        self._templates: dict[tuple[str, ...], str] = {}

    def of(self, group: Group) -> str:
        """The key prefix of a group's results."""
        keys, values = zip(*group, strict=True)
        template = self._templates.get(keys)
        if template is None:
            template = self._template(keys)
            if len(self._templates) < _MAX_TEMPLATES:
                self._templates[keys] = template
        return template.format(*values)

    def left_out(self, keys: Sequence[str]) -> list[str]:
        """The keys that don't show in the folders."""
        if not self._structure:
            return []
        shown = set(structure_keys(self._structure, keys))
        return [key for key in keys if key not in shown]

    def unfilled(self, keys: Sequence[str]) -> str:
        """The output structure without the keys that are filled in."""
        return output_leaf(self._structure, tuple((key, "") for key in keys))

    def _template(self, keys: Sequence[str]) -> str:
        marks = [f"{_MARK}{number}{_MARK}" for number in range(len(keys))]
        folder = output_folder(self._output, self._structure, tuple(zip(keys, marks, strict=True)))
        return _template(folder, marks)


class Bodies:
    """The message bodies of groups: `contract.JobMessage.encode`."""

    def __init__(self, header: JobFileHeader, run: str, submission: str):
        message = JobMessage(
            pipeline=header.pipeline,
            data_file=header.data_file,
            input=header.input,
            output=header.output,
            output_structure=header.output_structure,
            group=((_MARK, "group"),),
            job=f"{_MARK}job",
            folder=f"{_MARK}folder",
            run=run,
            submission=submission,
        )
        marks = [_quote(f"{_MARK}{name}") for name in ("=group", "job", "folder")]
        self._template = _template(message.encode(), marks)

    def of(self, group_text: str, job: str, folder: str) -> str:
        """The body for `format_group(group)`."""
        return self._template.format(_quote(group_text), _quote(job), _quote(folder))


def _template(text: str, marks: Sequence[str]) -> str:
    """A format string with field i where mark i stood."""
    template = text.replace("{", "{{").replace("}", "}}")
    for number, mark in enumerate(marks):
        template = template.replace(mark, f"{{{number}}}")
    return template
