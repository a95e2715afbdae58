"""Whose turn it is in a pass over all live runs."""

from __future__ import annotations

from collections.abc import Iterable


def in_turn(run_ids: Iterable[str], first: str) -> list[str]:
    """All of them in order, beginning with `first`, or with what comes after where it was."""
    ordered = sorted(run_ids)
    return [i for i in ordered if i >= first] + [i for i in ordered if i < first]
