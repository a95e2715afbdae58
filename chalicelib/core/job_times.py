"""How long jobs take, remembered in bounded space however many there are.

Times fall into classes 5 % wide, and only the classes' counts are kept: a few kilobytes for a
million jobs, right to within 2.5 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

#: Times of one class differ by this factor at most.
_STEP = 1.05
#: Shorter and longer jobs count as jobs of this many seconds: there are some 350 classes in all.
_SHORTEST, _LONGEST = 0.5, 1e7
#: At either end one time in so many counts as its neighbour does, at least one.
_OUTLIERS = 50


def time_class(seconds: float) -> int:
    """The class of a job's wall time."""
    return round(math.log(min(max(seconds, _SHORTEST), _LONGEST)) / math.log(_STEP))


def add_times(counts: Mapping[int, int], more: Iterable[int]) -> dict[int, int]:
    """The counts of each class, with more classes counted in."""
    together = Counter(counts)
    together.update(more)
    return dict(sorted(together.items()))


def robust_mean(counts: Mapping[int, int]) -> float | None:
    """The mean of all times in seconds, with outliers drawn in (a winsorised mean); None without any.

    Work left is jobs left times this. A median would forget the few long jobs that make up much
    of a screen's work; a plain mean believes the one job that hung.
    """
    total = sum(counts.values())
    if not total:
        return None
    drawn_in = max(1, total // _OUTLIERS) if total > 2 else 0
    lowest, highest = _at(counts, drawn_in), _at(counts, total - 1 - drawn_in)
    work = sum(
        count * _STEP ** min(max(number, lowest), highest) for number, count in counts.items()
    )
    return work / total


def _at(counts: Mapping[int, int], rank: int) -> int:
    """The class of the `rank`-th shortest time, from 0 on."""
    for number in sorted(counts):
        rank -= counts[number]
        if rank < 0:
            return number
    raise AssertionError("fewer times than ranks")
