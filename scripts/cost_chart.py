"""Draws docs/costs.svg from the table "By jobs" of docs/costs.md; `--check` fails if it is stale."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "costs.md"
PICTURE = ROOT / "docs" / "costs.svg"

#: Of the picture, in pixels: where a bar of 1 x begins and how long ten times as much is.
LEFT, DECADE, ROW, TOP = 150, 230, 46, 56
OURS, THEIRS = "#1b6e8c", "#c98f3c"
_FONT = 'font-family="sans-serif" font-size="13"'
#: What each row of the table holds: jobs, cells, CellFleet's cost, its worst … DCP's cost, its worst.
_ROW = re.compile(r"^\| ([\d,]+) \| \d+ \| ([\d.]+) \|(?:[^|\n]*\|)* ([\d.]+) \| [\d.]+ \|$", re.M)


def rows(page: str) -> list[tuple[str, float, float]]:
    """Jobs, and machine-hours over the clairvoyant's: CellFleet's and DCP's policy."""
    section = page.partition("By jobs")[2].partition("\n\n|")[2].partition("\n\n")[0]
    return [(m[1], float(m[2]), float(m[3])) for m in _ROW.finditer(f"|{section}")]


def draw(found: list[tuple[str, float, float]]) -> str:
    """The picture: for each number of jobs two bars, on a logarithmic scale."""
    bottom = TOP + ROW * len(found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{bottom + 30}" {_FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="12" y="20">Machine-hours of a run, as a multiple of what somebody who knows '
        "everything</text>",
        '<text x="12" y="38">beforehand would use: <tspan fill="'
        f'{OURS}">CellFleet</tspan>, <tspan fill="{THEIRS}">DCP\'s policy</tspan></text>',
    ]
    for times in (1, 2, 5, 10, 20, 50):
        x = _x(times)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{times} x</text>')
    for index, (jobs, ours, theirs) in enumerate(found):
        y = TOP + ROW * index
        parts.append(f'<text x="{LEFT - 42}" y="{y + 24}" text-anchor="end">{jobs} jobs</text>')
        parts += _bar(y + 4, ours, OURS) + _bar(y + 21, theirs, THEIRS)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(y: int, value: float, colour: str) -> list[str]:
    start, end = _x(0.8), _x(value)
    return [
        f'<rect x="{start}" y="{y}" width="{max(1, end - start)}" height="15" fill="{colour}"/>',
        f'<text x="{max(start, end) + 5}" y="{y + 12}">{value:.2f}</text>',
    ]


def _x(value: float) -> int:
    return round(LEFT + DECADE * math.log10(max(value, 0.8)))


def main() -> None:
    picture = draw(rows(PAGE.read_text("utf-8")))
    if "--check" in sys.argv:
        if not PICTURE.exists() or PICTURE.read_text("utf-8") != picture:
            sys.exit(f"{PICTURE.name} is stale: run python -m scripts.cost_chart")
    else:
        PICTURE.write_text(picture, "utf-8")


if __name__ == "__main__":
    main()
