"""Machines that cost and can't work. Pure.

Judged only by looks at ECS that succeeded; what ECS doesn't know is not proof of idleness
before its time is up.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.observation import InstanceView, Observation

#: A machine registers within this time of its launch, or never will.
REGISTERS_WITHIN = timedelta(minutes=10)
#: An agent that ECS hasn't heard from for so long, on a machine that holds no task, won't return.
SILENT = timedelta(minutes=10)
#: A machine whose agent is gone switches itself off after 15 minutes. One that outlives twice
#: that hangs, whatever tasks ECS last knew of.
HANGS = timedelta(minutes=30)


def faulty(seen: Observation) -> tuple[str, ...]:
    """Ids of machines to terminate: stopped, never registered, or silent for long."""
    stopped = [view.instance_id for view in seen.instances if view.state == "stopped"]
    if seen.hosts is None:
        return tuple(stopped)
    hosts = {host.instance_id: host for host in seen.hosts}
    lost = [
        view.instance_id
        for view in seen.instances
        if view.works and view.instance_id not in hosts and _late(view, seen)
    ]
    silent = [
        view.instance_id
        for view in seen.instances
        if view.works and view.instance_id in hosts and _silent(view.instance_id, seen)
    ]
    return (*stopped, *lost, *silent)


def _late(view: InstanceView, seen: Observation) -> bool:
    return view.launched_at is not None and seen.now - view.launched_at > REGISTERS_WITHIN


def _silent(instance_id: str, seen: Observation) -> bool:
    since = seen.silent_since.get(instance_id)
    if since is None:
        return False
    busy = any(host.busy for host in seen.hosts or () if host.instance_id == instance_id)
    return seen.now - since > (HANGS if busy else SILENT)
