"""What one tick hands to the next, in the run's status.

All of it can be lost: a tick without memory counts anew, waits a little longer, and harms nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances
from chalicelib.core.actions.machines import TerminateInstances
from chalicelib.core.ailment import Ailment
from chalicelib.core.capacity import DRAINING, most_launched
from chalicelib.core.observation import HostView, InstanceView, QueueView, ServiceView
from chalicelib.core.plan import Plan
from chalicelib.core.run import RunRecord
from chalicelib.core.tally import Tally

#: Fewer tasks than there should be, for so long, are a reason to look at what each machine holds.
#: Booting takes three minutes or four.
SHORT_FOR = timedelta(minutes=6)


class Memory(BaseModel):
    """What one tick hands to the next."""

    model_config = ConfigDict(frozen=True)

    tally: Tally = Tally()
    empty_since: datetime | None = None
    empty_readings: int = 0
    #: What ailed the fleet when it was last looked at.
    ailments: tuple[Ailment, ...] = ()
    #: Every machine that a run of DCP's image was seen to have: each may have made an alarm.
    machines: tuple[str, ...] = ()
    #: How many of them worked when last seen.
    working: int = 0
    #: Of each fleet, the most machines that were seen at once.
    launched: Mapping[str, int] = {}
    #: Machines by instance id: since when DRAINING, those that we told to, and since when silent.
    leaving: Mapping[str, datetime] = {}
    drained: tuple[str, ...] = ()
    silent: Mapping[str, datetime] = {}
    revived_at: datetime | None = None
    #: Since when fewer tasks run than the machines could hold.
    short_since: datetime | None = None
    #: Jobs done and dead, and failures, when the ledger was last read in full.
    ended: tuple[int, int, int] | None = None
    #: Messages in the dead-letter queue, which other apps may share, and when they were counted.
    dead_letters: int | None = None
    dead_letters_at: datetime | None = None

    def with_queue(self, record: RunRecord, found: QueueView | None, now: datetime) -> Memory:
        """Readings of an empty queue, in a row; one that somebody deleted holds nothing either."""
        if not record.closed or (found is not None and found.messages):
            return self.model_copy(update={"empty_since": None, "empty_readings": 0})
        return self.model_copy(
            update={
                "empty_since": self.empty_since or now,
                "empty_readings": self.empty_readings + 1,
            }
        )

    def with_machines(
        self,
        record: RunRecord,
        instances: tuple[InstanceView, ...],
        service: ServiceView | None,
        tasks_per_machine: int,
        now: datetime,
    ) -> Memory:
        """Machines met, and whether as many tasks run as should."""
        update: dict[str, object] = {"launched": most_launched(record, self.launched, instances)}
        if record.worker == "dcp":
            met = {*self.machines, *(instance.instance_id for instance in instances)}
            update["machines"] = tuple(sorted(met))
        update["working"] = sum(view.works for view in instances)
        room = sum(view.works for view in instances) * tasks_per_machine
        short = service is not None and service.running < min(service.desired, room)
        update["short_since"] = (self.short_since or now) if short else None
        return self.model_copy(update=update)

    def is_short(self, now: datetime) -> bool:
        """Fewer tasks run than should, for longer than a boot explains."""
        return self.short_since is not None and now - self.short_since >= SHORT_FOR

    def with_hosts(
        self, hosts: tuple[HostView, ...], instances: tuple[InstanceView, ...], now: datetime
    ) -> Memory:
        """Which machines that are there are DRAINING, which silent, since when."""
        there = {view.instance_id for view in instances if view.works}
        known = [host for host in hosts if host.instance_id in there]
        leaving = {h.instance_id: now for h in known if h.status == DRAINING}
        silent = {h.instance_id: now for h in known if not h.connected}
        return self.model_copy(
            update={
                "leaving": {name: self.leaving.get(name, at) for name, at in leaving.items()},
                "silent": {name: self.silent.get(name, at) for name, at in silent.items()},
                "drained": tuple(name for name in self.drained if name in leaving),
            }
        )

    def after(self, plan: Plan, now: datetime) -> Memory:
        """With what was done."""
        memory = self
        for action in plan:
            if isinstance(action, DrainInstances):
                drained = tuple(dict.fromkeys((*memory.drained, *action.instance_ids)))
                since = {**dict.fromkeys(action.instance_ids, now), **memory.leaving}
                memory = memory.model_copy(update={"drained": drained, "leaving": since})
            elif isinstance(action, ActivateInstances):
                left = tuple(n for n in memory.drained if n not in action.instance_ids)
                memory = memory.model_copy(update={"drained": left, "revived_at": now})
            elif isinstance(action, TerminateInstances):
                memory = memory._without(action.instance_ids)
        return memory

    def _without(self, gone: tuple[str, ...]) -> Memory:
        """Machines that were terminated are nobody's any more."""
        return self.model_copy(
            update={
                "leaving": {name: at for name, at in self.leaving.items() if name not in gone},
                "silent": {name: at for name, at in self.silent.items() if name not in gone},
                "drained": tuple(name for name in self.drained if name not in gone),
            }
        )
