"""The processes on the embedded AWS's machines, as Linux lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.outside import Outside

_WELL = re.compile(r"Metadata_Well=(\w+)")


def below(pid: int) -> Iterator[int]:
    """All descendants of a process; each of its threads has children of its own."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from below(child)


def command(pid: int) -> str:
    """Its command line; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def wells_at_work(outside: Outside) -> dict[str, str]:
    """The wells that CellProfilers are at just now, and on which machine each is."""
    return {
        well.group(1): machine
        for machine, containers in outside.fleet.machines.processes().items()
        for container in containers
        for pid in below(container)
        if (well := _WELL.search(command(pid)))
    }
