"""Writes docs/configuration.md from the configuration's model; `--check` fails if it is stale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
sys.path.insert(0, str(ROOT))

from chalicelib.core.config_checks import RULES  # noqa: E402
from chalicelib.core.config_docs import SECTIONS, KeyDoc  # noqa: E402
from chalicelib.core.config_keys import KINDS  # noqa: E402
from chalicelib.core.config_model import RunConfig  # noqa: E402
from chalicelib.core.config_types import Flag  # noqa: E402
from chalicelib.core.upload_flags import IGNORED, SUPPORTED  # noqa: E402

HEAD = """\
# Configuration

<!-- Made by scripts/config_reference.py from the model. Change chalicelib/core/config_model.py
     and config_docs.py, then run it again. -->

The settings of an app, for all its runs. They come in one of three forms:

- `config.py`, as for Distributed-CellProfiler (DCP). It is read as data and never executed:
  `KEY = value` with text, numbers, `True`, `False`, lists, names from further up, and
  `+ - * /` of these. Anything else (an import, a call, a condition, an f-string) is refused with
  its line. Names of your own are fine where keys are made from them.
- JSON: one object of keys. `NaN`, and a key given twice, are refused; keys that begin with
  `_comment` are passed over.
- TOML: keys at the top level.

What is wrong is told all at once, each with the key, the value found and what it must be.
A key that isn't known is an error, so that a misspelt one isn't overlooked.

- Keys may be in any case and with spaces for underscores (`ALWAYS CONTINUE`).
- `'True'` and `'False'` are understood in any case, with or without quotes.
- Numbers may be text (`'30'`).
- `None` or JSON's `null` is as good as leaving the key out. For buckets, MACHINE_PRICE and text
  that may be empty, so are `'False'` and `''`.
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD, "## All keys\n", *_overview()]
    for title, docs in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name, doc in docs.items():
            parts += _entry(name, doc)
    return "\n".join([*parts, *_rules(), *_flags()]).rstrip() + "\n"


def _overview() -> list[str]:
    rows = [
        f"| [{_shown(name)}](#{name}) | {doc.title} | {_default(name, doc)} |"
        for docs in SECTIONS.values()
        for name, doc in docs.items()
    ]
    return ["| key | what | default |", "|---|---|---|", *rows, ""]


def _entry(name: str, doc: KeyDoc) -> list[str]:
    return [
        f"### {_shown(name)}\n",
        f"**{doc.title}.** {doc.means}\n",
        f"- Value: {KINDS[name].expected}",
        f"- Default: {_default(name, doc)}",
        f"- Example: `{_shown(name)} = {_literal(doc.example)}`\n",
    ]


def _default(name: str, doc: KeyDoc) -> str:
    field = RunConfig.model_fields[name]
    if field.is_required():
        return "none: required"
    if doc.default:
        return doc.default
    return f"`{_literal(str(field.default) if isinstance(KINDS[name], Flag) else field.default)}`"


def _literal(value: Any) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)


def _shown(name: str) -> str:
    return name.upper()


def _rules() -> list[str]:
    return ["## Checked between keys\n", *(f"- {rule.__doc__}" for _, rule in RULES), ""]


def _flags() -> list[str]:
    return [
        "## Upload flags\n",
        f"With an effect: {', '.join(f'`{flag}`' for flag in SUPPORTED)}.\n",
        f"Ignored with a warning: {', '.join(f'`{flag}`' for flag in IGNORED)}.\n",
        "All others are refused.",
    ]


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it. Returns the exit code."""
    page = render()
    if arguments == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
            return 0
        print("docs/configuration.md is stale: run python scripts/config_reference.py")
        return 1
    if arguments:
        print(f"usage: {Path(__file__).name} [--check]", file=sys.stderr)
        return 2
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
