"""Which of a run's machines count, and which its requests may still bring. Pure.

A one-time request brings each of its machines once: those that were there and are gone (a spot
interruption, a fault, the dead man's switch) are missing, and asked for anew by a request of
their own. A `maintain` fleet replaces what it loses by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.core.observation import HostView, InstanceView, Observation
from chalicelib.core.run import Fleet, RunRecord

ACTIVE, DRAINING = "ACTIVE", "DRAINING"
MAINTAIN = "maintain"


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """A run's machines now.

    `active` work or will work; `leaving` (DRAINING) take no new work; of those, `revivable` were
    told to leave by us and can be called back. `coming` is how many open requests may bring.
    """

    active: tuple[InstanceView, ...]
    leaving: tuple[HostView, ...]
    revivable: tuple[HostView, ...]
    coming: int

    @property
    def machines(self) -> int:
        """There, or coming, and not on their way out."""
        return len(self.active) + self.coming


def capacity(record: RunRecord, seen: Observation) -> Capacity:
    """Count the machines that were observed."""
    there = {i.instance_id: i for i in seen.instances if i.works}
    leaving = tuple(
        host for host in seen.hosts or () if host.status == DRAINING and host.instance_id in there
    )
    gone = {host.instance_id for host in leaving}
    return Capacity(
        active=tuple(view for name, view in there.items() if name not in gone),
        leaving=leaving,
        revivable=tuple(h for h in leaving if h.instance_id in seen.drained and h.connected),
        coming=sum(outstanding(fleet, record, seen) for fleet in open_fleets(record, seen)),
    )


def open_fleets(record: RunRecord, seen: Observation) -> tuple[Fleet, ...]:
    """The requests that may still bring machines."""
    over = {fleet.fleet_id for fleet in seen.fleets if fleet.over}
    return tuple(
        fleet for fleet in record.fleets if fleet.may_bring(seen.now) and fleet.fleet_id not in over
    )


def outstanding(fleet: Fleet, record: RunRecord, seen: Observation) -> int:
    """How many machines an open request may still bring."""
    if not fleet.fleet_id:
        return fleet.machines
    if fleet.type == MAINTAIN:
        # It replaces what leaves by itself, as soon as that is gone.
        leaving = {host.instance_id for host in seen.hosts or () if host.status == DRAINING}
        staying = (view for view in seen.instances if view.instance_id not in leaving)
        targets = {view.fleet_id: view.target for view in seen.fleets}
        target = targets.get(fleet.fleet_id, fleet.machines)
        return max(0, target - launched(record, staying).get(fleet.fleet_id, 0))
    there = launched(record, seen.instances).get(fleet.fleet_id, 0)
    return max(0, fleet.machines - max(there, seen.launched.get(fleet.fleet_id, 0)))


def launched(record: RunRecord, instances: Iterable[InstanceView]) -> Mapping[str, int]:
    """How many of these machines each fleet brought.

    A machine that doesn't say which fleet it is of counts for the oldest that still lacks some;
    one of a fleet that the record has lost, for none.
    """
    known = [fleet for fleet in record.fleets if fleet.fleet_id]
    counts = Counter[str]()
    strays = 0
    for instance in instances:
        if not instance.fleet_id:
            strays += 1
        elif any(instance.fleet_id == fleet.fleet_id for fleet in known):
            counts[instance.fleet_id] += 1
    for fleet in known:
        taken = min(strays, max(0, fleet.machines - counts[fleet.fleet_id]))
        counts[fleet.fleet_id] += taken
        strays -= taken
    return counts


def most_launched(
    record: RunRecord, before: Mapping[str, int], instances: Iterable[InstanceView]
) -> dict[str, int]:
    """The most machines of each fleet that were ever seen at once; to be remembered."""
    now = launched(record, instances)
    return {
        fleet.fleet_id: max(before.get(fleet.fleet_id, 0), now.get(fleet.fleet_id, 0))
        for fleet in record.fleets
        if fleet.fleet_id
    }
