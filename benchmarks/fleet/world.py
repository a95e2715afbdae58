"""Machines, slots and a queue on a virtual clock: what every policy works on."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import Protocol

from benchmarks.fleet.laws import Case, Draws

_READY, _END, _LOST, _TICK = range(4)
#: A container that ECS starts anew on a machine that is up already, in seconds.
RESTART = 20.0


class Machine:
    """One machine. Times in seconds since the submission."""

    __slots__ = (
        "busy",
        "draining",
        "ended",
        "epochs",
        "held",
        "idle_since",
        "jobs",
        "launched",
        "number",
        "on",
        "up",
    )

    def __init__(self, number: int, launched: float, up: float, tasks: int):
        self.number = number
        self.launched = launched
        self.up = up
        self.ended: float | None = None
        self.draining = False
        #: Jobs held: by the machine, by each container, by slot.
        self.held = 0
        self.busy = [0] * tasks
        self.jobs: dict[int, int] = {}
        #: Containers that run, or will once the machine is up; each start has its own number.
        self.on = [True] * tasks
        self.epochs = [0] * tasks
        self.idle_since = up


class Policy(Protocol):
    """What decides about machines."""

    #: Seconds between ticks, 0 for none; and when the first one is.
    period: float
    first: float

    def start(self, world: World) -> None:
        """Jobs have been sent: now is 0."""

    def tick(self, world: World) -> None: ...

    def idle(self, world: World, machine: Machine) -> None:
        """A machine has no job, and none waits."""

    def lost(self, world: World) -> None:
        """A machine was interrupted; its jobs wait again."""

    def close(self, world: World) -> None:
        """The last job has just ended: end all machines."""


class World:
    """One run under one policy."""

    def __init__(self, case: Case, draws: Draws):
        self.case = case
        self.draws = draws
        self.now = 0.0
        self.queue = deque(range(case.jobs))
        self.left = case.jobs
        self.held = 0
        self.machines: dict[int, Machine] = {}
        self.number = 0
        self.paid = 0.0
        #: Times of ended jobs, for the ledger.
        self.times: list[float] = []
        self._idle: list[tuple[Machine, int, int]] = []
        self._events: list[tuple[float, int, int, Machine | None, int, int]] = []
        self._order = count()

    # --- what policies do ------------------------------------------------------------------------

    def launch(self, machines: int) -> list[Machine]:
        """Ask for machines; they are numbered in the order in which they are asked for."""
        made = []
        for _ in range(machines):
            fate = self.draws.fate(self.number)
            launched = self.now + fate.launch
            machine = Machine(self.number, launched, launched + fate.boot, self.case.tasks)
            self.number += 1
            self.machines[machine.number] = machine
            for task in range(self.case.tasks):
                self._begin(machine, task, machine.up)
            if fate.life != float("inf"):
                self._push(launched + fate.life, _LOST, machine)
            made.append(machine)
        return made

    def terminate(self, machine: Machine, at: float | None = None) -> None:
        """End a machine, now or at a time to come when nothing happens any more."""
        machine.ended = self.now if at is None else at
        self.paid += max(0.0, machine.ended - machine.launched)
        del self.machines[machine.number]

    def drain(self, machine: Machine) -> None:
        """ECS stops the containers that hold no job; the others finish."""
        machine.draining = True
        for task, busy in enumerate(machine.busy):
            if not busy:
                self._stop(machine, task)

    def revive(self, machine: Machine) -> None:
        """Take a machine back into service: ECS starts its containers again."""
        machine.draining = False
        for task, on in enumerate(machine.on):
            if not on:
                machine.on[task] = True
                self._begin(machine, task, max(machine.up, self.now + RESTART))

    # --- the clock -------------------------------------------------------------------------------

    def run(self, policy: Policy) -> World:
        """Until the last job has ended and the policy has ended the machines."""
        policy.start(self)
        if policy.period:
            self._push(policy.first, _TICK, None)
        while self.left:
            self.now, _, kind, machine, slot, epoch = heapq.heappop(self._events)
            if kind == _TICK:
                policy.tick(self)
                self._push(self.now + policy.period, _TICK, None)
            elif machine is None or machine.ended is not None:
                continue
            elif kind == _END:
                self._job_ends(policy, machine, slot)
            elif kind == _READY:
                if machine.epochs[slot // self.case.cores] == epoch:
                    self._next_job(policy, machine, slot)
            else:
                self._interrupt(policy, machine)
        policy.close(self)
        return self

    @property
    def makespan(self) -> float:
        return self.now

    def _push(
        self, at: float, kind: int, machine: Machine | None, slot: int = 0, epoch: int = 0
    ) -> None:
        heapq.heappush(self._events, (at, next(self._order), kind, machine, slot, epoch))

    def _begin(self, machine: Machine, task: int, at: float) -> None:
        machine.epochs[task] += 1
        for core in range(self.case.cores):
            ready = at + core * self.case.stagger
            slot = task * self.case.cores + core
            self._push(ready, _READY, machine, slot, machine.epochs[task])

    def _stop(self, machine: Machine, task: int) -> None:
        machine.on[task] = False
        machine.epochs[task] += 1

    def _job_ends(self, policy: Policy, machine: Machine, slot: int) -> None:
        self.times.append(self.draws.seconds[machine.jobs.pop(slot)])
        self.left -= 1
        self.held -= 1
        machine.held -= 1
        machine.busy[slot // self.case.cores] -= 1
        if self.left:
            self._next_job(policy, machine, slot)

    def _next_job(self, policy: Policy, machine: Machine, slot: int) -> None:
        task = slot // self.case.cores
        if machine.draining and not machine.busy[task]:
            self._stop(machine, task)
        elif self.queue:
            self._take(machine, slot)
            if not self.queue:
                for other in list(self.machines.values()):
                    if not other.held:
                        policy.idle(self, other)
        else:
            self._idle.append((machine, slot, machine.epochs[task]))
            if not machine.held:
                machine.idle_since = self.now
                policy.idle(self, machine)

    def _take(self, machine: Machine, slot: int) -> None:
        job = self.queue.popleft()
        machine.jobs[slot] = job
        machine.held += 1
        machine.busy[slot // self.case.cores] += 1
        self.held += 1
        self._push(self.now + self.draws.seconds[job], _END, machine, slot)

    def _interrupt(self, policy: Policy, machine: Machine) -> None:
        jobs = list(machine.jobs.values())
        self.held -= len(jobs)
        self.terminate(machine)
        self.queue.extend(jobs)
        while self.queue and self._idle:
            other, slot, epoch = self._idle.pop()
            if other.ended is None and other.epochs[slot // self.case.cores] == epoch:
                self._take(other, slot)
        policy.lost(self)
