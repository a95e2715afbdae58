"""What AWS is sent, held in readable files: a change of it shows as a diff.

`CELLFLEET_UPDATE_GOLDEN=1 pytest …` writes what is found; the diff is then for review.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tests.core.factories import GOLDEN

_WIDTH = 100


def hold(name: str, found: str) -> None:
    """`found` is exactly what tests/golden/`name` holds."""
    path = GOLDEN / name
    if os.environ.get("CELLFLEET_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def hold_json(name: str, found: Any) -> None:
    """The same for what can be written as JSON; the order of keys counts."""
    hold(name, written(found) + "\n")


def written(value: Any, indent: str = "") -> str:
    """JSON for readers: what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) < _WIDTH or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {written(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [written(item, deeper) for item in value]
        opening, closing = "[", "]"
    inside = ",\n".join(deeper + item for item in items)
    return f"{opening}\n{inside}\n{indent}{closing}"
