"""The names of the configuration keys, as users spell and misspell them; and values shown short."""

from __future__ import annotations

import difflib
import reprlib
from typing import Any

from chalicelib.core.config_model import RunConfig
from chalicelib.core.config_types import Kind

#: How each field's values are read.
KINDS: dict[str, Kind] = {
    name: next(item for item in field.metadata if isinstance(item, Kind))
    for name, field in RunConfig.model_fields.items()
}
#: Old names of fields.
ALIASES = {"requirements_file": "requirements"}

_KEYS = tuple(name.upper() for name in KINDS)


def canonical(name: str) -> str:
    """The field that a key means, if it is one: "ALWAYS CONTINUE" is `always_continue`."""
    field = "_".join(name[:80].lower().replace("-", " ").split())
    return ALIASES.get(field, field)


def nearest(name: str, alike: float = 0.6) -> str | None:
    """The key most like a misspelt one; `alike` from 0 (anything) to 1 (the same)."""
    matches = difflib.get_close_matches(canonical(name).upper(), _KEYS, n=1, cutoff=alike)
    return matches[0] if matches else None


class _Short(reprlib.Repr):
    """`repr` in one short line, of anything, whatever its size and depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 2, 4, 4, 4
        self.maxstring = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of thousands of digits.
        return super().repr_int(x, level) if x.bit_length() < 200 else "a huge number"


def show(value: Any) -> str:
    """A value as the user wrote it, at most about 100 characters, safe to print."""
    text = _Short().repr(value)
    safe = text if text.isprintable() else ascii(text)[1:-1]
    return safe if len(safe) <= 100 else f"{safe[:99]}…"
