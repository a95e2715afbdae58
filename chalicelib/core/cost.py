"""What a run's machines may have cost so far: hours that were seen, times MACHINE_PRICE.

Each tick adds the time since the one before, times the machines that were there at either end,
whichever were more. A machine that came and went between two ticks isn't seen.
"""

from __future__ import annotations

from datetime import datetime

from chalicelib.core.run import RunRecord


def machine_hours(
    before: float, *, seen_at: datetime | None, machines: int, now: datetime, machines_now: int
) -> float:
    """Hours until now; `before` until `seen_at`, when there were `machines`."""
    if seen_at is None or now <= seen_at:
        return before
    hours = (now - seen_at).total_seconds() / 3600
    return round(before + hours * max(machines, machines_now), 6)


def dollars(record: RunRecord, price: float | None, hours: float) -> float | None:
    """At most so many. None where nobody knows: without MACHINE_PRICE, or when machines on
    demand were asked for, whose price is EC2's."""
    if price is None or any(fleet.on_demand for fleet in record.fleets):
        return None
    return round(price * hours, 4)
