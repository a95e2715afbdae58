"""What CellFleet is measured against: DCP's policy as it was meant, a clairvoyant, and one who knows
all but how much jobs differ."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

from benchmarks.fleet.laws import Case, Draws
from benchmarks.fleet.world import Machine, World


class Fixed:
    """So many machines, from the start; a lost one is replaced at once while jobs wait.

    A machine ends the moment it has no job and none waits, with nobody having to notice.
    """

    period = first = 0.0

    def __init__(self, machines: int):
        self.machines = machines

    def start(self, world: World) -> None:
        world.launch(self.machines)

    def tick(self, world: World) -> None:
        """It needs no ticks."""

    def idle(self, world: World, machine: Machine) -> None:
        world.terminate(machine)

    def lost(self, world: World) -> None:
        if world.queue:
            world.launch(1)

    def close(self, world: World) -> None:
        for machine in list(world.machines.values()):
            world.terminate(machine)


class Dcp:
    """Distributed-CellProfiler's fleet, alarms and monitor, had they worked.

    CLUSTER_MACHINES from the start, whatever there is to do; the fleet replaces lost machines.
    An alarm looks at five minutes at a time. Nothing visible all that time: the target is lowered
    to the jobs in flight, without ending machines (counting jobs as machines); from then on again
    every ten minutes. Nothing in flight all that time: all machines end. A machine that idles for
    15 minutes is ended by its own alarm, and then not replaced.

    Kinder than the real one: jobs of lost machines come back at once, not after their visibility.
    """

    period = first = 300.0
    IDLE = 900.0

    def __init__(self, machines: int):
        self.target = machines
        self.empty_since: float | None = None
        self.lowered = -math.inf

    def start(self, world: World) -> None:
        world.launch(self.target)

    def tick(self, world: World) -> None:
        for machine in list(world.machines.values()):
            ends = machine.idle_since + self.IDLE
            if not machine.held and ends <= world.now:
                world.terminate(machine, ends)
                self.target = min(self.target, len(world.machines))
        if world.queue:
            self.empty_since = None
            return
        self.empty_since = world.now if self.empty_since is None else self.empty_since
        if world.now - self.empty_since >= self.period and world.now - self.lowered >= 600:
            self.target = min(self.target, world.held)
            self.lowered = world.now

    def idle(self, world: World, machine: Machine) -> None:
        """Nobody notices for 15 minutes."""

    def lost(self, world: World) -> None:
        world.launch(max(0, self.target - len(world.machines)))

    def close(self, world: World) -> None:
        # The first alarm whose five minutes have all passed since the last job's end.
        end = (math.ceil(world.now / self.period) + 1) * self.period
        for machine in list(world.machines.values()):
            idles = machine.idle_since if not machine.held else world.now
            world.terminate(machine, min(end, max(idles, machine.up) + self.IDLE))


def clairvoyant(case: Case, draws: Draws, latest: float) -> World:
    """The cheapest fixed number of machines that has ended by `latest`, knowing all draws.

    Up to 100 jobs, every number up to 20 is tried, then every third: more machines than jobs, too,
    since those that boot first take the jobs, and the others are never paid for long. Beyond, the
    fewest in time are found by halving, and numbers about it are tried.
    """
    return _cheapest(case, draws, latest)[1]


def blind(case: Case, seed: int, slack: float) -> World:
    """The clairvoyant's choice for jobs that all take the same time, whatever they really take.

    It knows the number of jobs, their mean time, and what befalls machines. Who doesn't know how
    much jobs differ, and yet wants equal ones to end in time, needs this many machines from the
    start: when the first outcomes tell, it is too late for more, and a small run's jobs have all
    begun. Its machines, too, end the moment they have nothing more to do.
    """
    machines = _for_equal_jobs(replace(case, law="constant"), seed, slack)
    return World(case, Draws(case, seed)).run(Fixed(machines))


@cache
def _for_equal_jobs(case: Case, seed: int, slack: float) -> int:
    draws = Draws(case, seed)
    dcp = World(case, draws).run(Dcp(case.machines))
    return _cheapest(case, draws, slack * dcp.makespan)[0]


def _cheapest(case: Case, draws: Draws, latest: float) -> tuple[int, World]:
    tried: dict[int, World] = {}

    def run(machines: int) -> World:
        if machines not in tried:
            tried[machines] = World(case, draws).run(Fixed(machines))
        return tried[machines]

    if case.jobs <= 100:
        for machines in (*range(1, min(20, case.machines)), *range(20, case.machines, 3)):
            run(machines)
    else:
        low, high = 1, case.machines
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if run(middle).makespan <= latest else (middle + 1, high)
        for machines in (low - 1, low + 1, low + 2, low + low // 8):
            if 1 <= machines <= case.machines:
                run(machines)
    run(case.machines)
    return min(
        (found for found in tried.items() if found[1].makespan <= latest),
        key=lambda found: found[1].paid,
        default=(case.machines, tried[case.machines]),
    )
