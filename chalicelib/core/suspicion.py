"""Whether something looks wrong with a fleet, from what every tick sees anyway.

Only then is AWS asked for more: a healthy run costs no call for its health.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.config import RunConfig
from chalicelib.core.observation import InstanceView, Observation
from chalicelib.core.run import Fleet, RunRecord

#: Machines usually come within this time, and their containers are up this long after launch.
MACHINES_DUE = timedelta(minutes=3)
CONTAINERS_DUE = timedelta(minutes=6)
#: A worker has taken a job this long after its machine's launch, if it works at all.
JOBS_DUE = timedelta(minutes=10)


def suspect_fleet(record: RunRecord, seen: Observation) -> Fleet | None:
    """The latest fleet, if its machines should be there and aren't."""
    fleet = latest_fleet(record)
    if fleet is None or seen.now - fleet.requested_at < MACHINES_DUE:
        return None
    view = next((view for view in seen.fleets if view.fleet_id == fleet.fleet_id), None)
    if view is None:
        return None
    if view.state == "failed":
        return fleet
    if view.over or fleet.valid_until <= seen.now or view.activity == "fulfilled":
        return None
    return fleet if len(seen.instances) < fleet.before + fleet.machines else None


def suspect_containers(config: RunConfig, seen: Observation) -> bool:
    """Machines are there, and fewer containers than they should hold; or nobody takes a job."""
    machines = ready(seen, CONTAINERS_DUE)
    if seen.service is None or not machines:
        return False
    due = min(seen.service.desired, len(machines) * config.tasks_per_machine)
    return seen.service.running < due or _nobody_works(seen)


def latest_fleet(record: RunRecord) -> Fleet | None:
    """The last request that EC2 answered."""
    return next((f for f in reversed(record.fleets) if f.fleet_id and not f.abandoned), None)


def ready(seen: Observation, age: timedelta) -> list[InstanceView]:
    """Running machines of at least this age that nobody has told to leave."""
    leaving = {host.instance_id for host in seen.hosts or () if host.status != "ACTIVE"}
    return [
        machine
        for machine in seen.instances
        if machine.state == "running"
        and machine.launched_at is not None
        and seen.now - machine.launched_at >= age
        and machine.instance_id not in leaving
    ]


def _nobody_works(seen: Observation) -> bool:
    queue = seen.queue
    idle = queue is not None and queue.visible > 0 and queue.in_flight == 0
    return idle and not seen.progress.per_minute and bool(ready(seen, JOBS_DUE))
