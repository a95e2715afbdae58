"""What a run may cost: machines, tries and logs, each within bounds that a seed can't excuse."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chalicelib.core.decide import RESENDS
from chalicelib.core.run import Phase, RunRecord
from tests.sim.timeline import HOUR, MINUTE

if TYPE_CHECKING:
    from tests.sim.history import History

#: Minutes for which a machine may be on without a job, while no job waits: it boots, its containers
#: wait for jobs that fail and come back, the monitor waits for counts that lag, it drains.
IDLE = 30


def wasteful(history: History) -> Iterator[str]:
    """B, money: machines without work leave; none come that could find none; no job is tried for
    ever."""
    for record in history.records():
        yield from _idle(history, record)
        yield from _crowded(history, record)
    yield from _tried_for_ever(history)


def _idle(history: History, record: RunRecord) -> Iterator[str]:
    config = history.scenario.config
    waves = len(record.submissions) + history.entries["start"]
    spared = waves * IDLE + _bad_time(history) / MINUTE
    lost = history.world.lost_machines[record.run_id]
    allowed = config["CLUSTER_MACHINES"] * spared + lost * IDLE
    idle = history.world.idle[record.run_id]
    if idle > allowed:
        yield f"{record.run_id}: {idle} minutes of idle machines, {allowed:.0f} are allowed"


def _bad_time(history: History) -> float:
    """Seconds in which the control plane couldn't look, or was told nonsense."""
    scenario = history.scenario
    seconds = sum(storm.end - storm.start for storm in scenario.storms)
    seconds += sum(end - begin for begin, end in scenario.ticks.off)
    seconds += sum(max(0.0, act.until - act.at) for act in scenario.acts)
    seconds += sum(cell.lasting for cell in scenario.cells)
    seconds += HOUR if scenario.laws.flap else 0.0
    if scenario.config["AUTO_MONITOR"] != "True":
        seconds += (
            HOUR  # until the user comes and watches, the dead man's switch alone ends machines
        )
    return seconds


def _crowded(history: History, record: RunRecord) -> Iterator[str]:
    config, world = history.scenario.config, history.world
    slots = config["TASKS_PER_MACHINE"] * config["DOCKER_CORES"]
    if config["SECONDS_TO_START"]:
        slots = 1  # a machine's later slots come late: another machine may be worth it
    filled = sum(math.ceil(s.jobs / slots) for s in record.submissions.values())
    if world.laws.faulty or world.lost_machines[record.run_id]:
        return  # those that replace others are there beside them
    most = world.most_machines[record.run_id]
    if most > filled:
        yield f"{record.run_id} had {most} machines at once, and jobs for {filled}"


def _tried_for_ever(history: History) -> Iterator[str]:
    world, retries = history.world, int(history.scenario.config["JOB_RETRIES"])
    for job, starts in world.starts.items():
        broken_off = world.broken_off[job]
        if starts > (retries + 1) * (1 + RESENDS * len(history.sent)) + broken_off:
            yield f"job {job} was begun {starts} times, with {retries} tries, {broken_off} broken off"


def unexported(history: History) -> Iterator[str]:
    """R: the logs of what is over lie with the results, or the record says why not."""
    for record in history.records():
        if record.phase is not Phase.FINISHED or record.ended_at is None:
            continue
        app = history.scenario.app
        for group in (app, f"{app}_perInstance"):
            export = record.exports.get(group)
            if group in history.world.logs.groups and (export is None or not export.over):
                yield f"{record.run_id}: nothing became of the logs of {group}"
