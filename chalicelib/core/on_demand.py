"""A share of machines at full price, where Spot has none to give.

Only if the user asks for it (ON_DEMAND_PERCENT), and only after waiting. The open request is
cancelled, its machines kept, and what is missing is requested anew with that share in it.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.actions.machines import CancelFleet
from chalicelib.core.config import RunConfig
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import Fleet, RunRecord

#: Spot machines are waited for this long first.
PATIENCE = timedelta(minutes=10)
#: Troubles that machines at full price don't have.
_OF_SPOT = frozenset(("capacity", "price"))


def on_demand_share(config: RunConfig, record: RunRecord, seen: Observation) -> int:
    """How many machines may be requested at full price now, beside those that were."""
    if not config.auto_monitor or not config.on_demand_percent or not _spot_is_short(seen):
        return 0
    allowed = max(1, config.cluster_machines * config.on_demand_percent // 100)
    there = sum(not machine.spot for machine in seen.instances)
    promised = sum(fleet.on_demand for fleet in _open(record, seen))
    return max(0, allowed - max(there, promised))


def decide_on_demand(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """Give up waiting for Spot machines alone, once; the next look requests what is missing."""
    if not on_demand_share(config, record, seen):
        return ()
    coming = len(seen.instances)
    return tuple(
        CancelFleet(fleet_id=fleet.fleet_id, keep_machines=True)
        for fleet in _open(record, seen)
        if not fleet.on_demand and coming < fleet.before + fleet.machines
    )


def _spot_is_short(seen: Observation) -> bool:
    return any(
        ailment.kind in _OF_SPOT and seen.now - ailment.since >= PATIENCE
        for ailment in seen.ailments
    )


def _open(record: RunRecord, seen: Observation) -> list[Fleet]:
    """The run's fleets that may still bring machines."""
    over = {view.fleet_id for view in seen.fleets if view.over}
    return [
        fleet
        for fleet in record.fleets
        if fleet.fleet_id and fleet.fleet_id not in over and fleet.may_bring(seen.now)
    ]
