"""What may stand in a path: names that can't lead anywhere but to the thing they name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.core.jobfile_problems import show
from chalicelib.errors import InputError, Problem

#: Of each variable of a path: its pattern (for Python and for the OpenAPI document alike), and
#: what it is in words.
NAMES: Mapping[str, tuple[str, str]] = {
    "app": (
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$",
        "1 to 60 letters, digits, '_' and '-', a letter or digit first",
    ),
    "run": (
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}-[0-9]{8}T[0-9]{6}[0-9a-f]{4}$",
        "a run id, as GET /runs lists them",
    ),
    "submission": (r"^[0-9a-f]{16}$", "a submission's id: 16 hexadecimal digits"),
    "name": (
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        "1 to 100 letters, digits, '.', '_' and '-', a letter or digit first",
    ),
}


def check_names(path: Mapping[str, str]) -> None:
    """Raises InputError with every name that can't be one."""
    problems = [
        Problem(where=name, found=show(value), expected=f"must be {NAMES[name][1]}")
        for name, value in path.items()
        if not is_name(name, value)
    ]
    if problems:
        raise InputError("path", problems)


def is_name(kind: str, value: str) -> bool:
    """Whether a value can be a name of this kind."""
    # `$` alone would let a line break pass.
    return re.fullmatch(NAMES[kind][0].removeprefix("^").removesuffix("$"), value) is not None
