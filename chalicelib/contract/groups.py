"""Groups of images, and what follows from them: output folders, and the names of jobs.

Standard library only, and Python 3.8 grammar, as all of the contract.
"""

import hashlib
import re
from typing import Iterable, List, Tuple

Group = Tuple[Tuple[str, str], ...]


class MessageError(ValueError):
    """A message body that can't be understood; says why."""


def parse_group(text: str) -> Group:
    """`"Metadata_Plate=P1,Metadata_Well=A01"` to `(("Metadata_Plate", "P1"), …)`.

    Raises MessageError for what CellProfiler's `-g` could not take apart again.
    """
    pairs = []  # type: List[Tuple[str, str]]
    for piece in text.split(","):
        key, equals, value = piece.partition("=")
        if not equals or not key.strip():
            raise MessageError("%r is not KEY=VALUE; a value can't hold a comma" % piece)
        if "=" in value:
            raise MessageError("the value of %s, %r, holds '='" % (key, value))
        pairs.append((key.strip(), value))
    return tuple(pairs)


def format_group(group: Iterable[Tuple[str, str]]) -> str:
    """The inverse of `parse_group`; the text of CellProfiler's `-g`."""
    return ",".join("%s=%s" % pair for pair in group)


def _structure_pattern(keys: Iterable[str]) -> "re.Pattern[str]":
    longest_first = sorted(keys, key=len, reverse=True)
    alternatives = "|".join(re.escape(key) for key in longest_first)
    # Whole tokens: Metadata_Well is not part of Metadata_WellRow or Metadata_Well_Row, yet
    # Metadata_Plate_Metadata_Well is two keys.
    return re.compile(r"(?<![A-Za-z0-9])(?:%s)(?![A-Za-z0-9]|_(?!Metadata_))" % alternatives)


def structure_keys(structure: str, keys: Iterable[str]) -> List[str]:
    """The keys that occur in an output structure, as whole tokens, in order, with repeats."""
    wanted = list(keys)
    return _structure_pattern(wanted).findall(structure) if wanted else []


def output_leaf(structure: str, group: Group) -> str:
    """The folder below `output` for a group: its values joined by "-", or the structure filled in."""
    if not structure:
        return "-".join(value for _, value in group)
    values = dict(group)
    return _structure_pattern(values).sub(lambda match: values[match.group(0)], structure)


def output_folder(output: str, structure: str, group: Group) -> str:
    """The key prefix of a group's results, without a trailing slash."""
    leaf = output_leaf(structure, group).strip("/")
    return "%s/%s" % (output.rstrip("/"), leaf) if output.rstrip("/") else leaf


def job_id(pipeline: str, data_file: str, group: Group, folder: str) -> str:
    """Stable name of a job within its submission: 20 hexadecimal digits."""
    text = "\x1f".join((pipeline, data_file, format_group(group), folder))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def submission_id(bucket: str, key: str, version: str) -> str:
    """Stable name of one upload of one job file: 16 hexadecimal digits."""
    text = "\x1f".join((bucket, key, version))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
