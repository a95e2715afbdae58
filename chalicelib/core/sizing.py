"""How many machines a run wants. Pure arithmetic; the only place that answers.

A job starts when a slot is free, and a slot is there only after its machine has booted: slot k
of a container is ready at boot + k x SECONDS_TO_START. From that follows when the last waiting
job would start with so many machines, and so when the run would end. Nobody knows beforehand how
much jobs differ, so it is reckoned twice: as if all took the same time, in whole rounds, and as
if they differed much, where one long job at the end makes a round more or less matter little. Of
the numbers of machines that end the run hardly later than all that are allowed, in either case,
the one is wanted where cost x time is least: what takes one percent longer has to save one
percent of the machine-hours.

What is there already is paid for. While jobs wait, no machine is surplus; once none does, idle
machines are, and busy ones finish their jobs and follow. So the number never swings: it rises
when more machines pay for their boot, and falls when there is nothing left to hand out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.capacity import capacity
from chalicelib.core.config import RunConfig
from chalicelib.core.observation import InstanceView, Observation
from chalicelib.core.run import RunRecord

#: From the request to a running machine, and from there to its first slot (system, agent, image),
#: in seconds. The first isn't billed.
LAUNCH, BOOT = 35.0, 175.0
#: How much later than with all machines a run may end, to save machines: if all jobs take the same
#: time (then that is what happens), and if they differ much (then it is what is to be expected).
ALIKE, APART = 0.25, 0.10
#: Fewer lost machines than one in so many are not worth a request of their own.
FEW = 30
#: Jobs that must have ended before their time is believed rather than the user's estimate.
ENOUGH_JOBS = 10
#: Machines launched within so many seconds are counted as one kind.
_GRAIN = 10.0
#: `cheapest`: the machines of the first minutes are kept, later ones are wanted one at a time.
CHEAPEST_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What there is to do, and with what. Times in seconds."""

    #: Jobs that haven't ended, and those of them that nobody holds.
    jobs: int
    waiting: int
    #: The wall time of a job: the robust mean so far, or what the user expects.
    job_seconds: float
    #: Machines allowed, and machines allowed if they have to be started anew.
    limit: int
    limit_new: int
    #: Of a machine: its containers, the slots of each, the seconds between those.
    tasks: int
    cores: int
    stagger: float
    #: Since launch, for each machine that is there; those that open requests may still bring.
    ages: tuple[float, ...] = ()
    coming: int = 0
    #: Machines (among `ages`) that take no new work but finish what they hold.
    draining: int = 0
    #: Jobs have failed in this run: others may come back, too.
    failures: bool = False

    @property
    def slots(self) -> int:
        return self.tasks * self.cores

    @property
    def machines(self) -> int:
        """There, or coming, and not on their way out."""
        return len(self.ages) + self.coming - self.draining

    @property
    def held(self) -> int:
        """Jobs that a slot is at."""
        return self.jobs - self.waiting


def machines_wanted(load: Load) -> int:
    """Machines that should be there, or coming, and take work.

    More than `load.machines`: request the difference. Fewer: that many are surplus.
    """
    have = load.machines
    if load.waiting <= 0:
        return min(have, load.limit, _spare(load))
    # One for each waiting job, beside those that are there: those that are coming are for these.
    most = min(load.limit, load.limit_new, load.jobs, have - load.coming + load.waiting)
    if most <= have:
        return min(have, load.limit, load.jobs)
    best = _best(load, most)
    return best if best - have > have // FEW else have


def _spare(load: Load) -> int:
    """Nothing waits: one machine stays for jobs that come back, unless a busy one can take them.

    A machine that is still draining holds a job, or it would be gone.
    """
    if load.jobs <= 0:
        return 0
    return 0 if load.held <= load.draining and not load.failures else 1


def _best(load: Load, most: int) -> int:
    """The number of machines, from those there to `most`, where cost x time is least."""
    have, there = load.machines, _slots_there(load)
    latest_alike = seconds_left(load, most, there) * (1 + ALIKE)
    latest_apart = seconds_left(load, most, there, alike=False) * (1 + APART)
    best, least = most, math.inf
    for machines in _candidates(have, most):
        left = seconds_left(load, machines, there, alike=False)
        if left > latest_apart or seconds_left(load, machines, there) > latest_alike:
            continue
        unbilled = (load.coming + machines - have) * LAUNCH  # none of these is launched yet
        price = (machines * left - unbilled) * left
        best, least = (machines, price) if price < least else (best, least)
    return best


def _candidates(have: int, most: int) -> Iterator[int]:
    """Every number up to some hundreds, then in steps of half a percent."""
    machines = have
    while machines < most:
        yield machines
        machines += 1 + machines // 200
    yield most


@dataclass(frozen=True, kw_only=True)
class _Slots:
    """Slots that hold a job now, and the others: in how many seconds they'll be there, and how
    many then."""

    busy: int
    free: tuple[tuple[float, int], ...]


def seconds_left(
    load: Load, machines: int, there: _Slots | None = None, *, alike: bool = True
) -> float:
    """When the last job would end, from now, if `machines` were wanted from now on.

    `alike`: all jobs take the same time. Otherwise their times fall off exponentially: slots come
    free at any time, and the longest of n jobs takes about ln n + 0.58 times their mean.
    """
    new = max(0, machines - load.machines) * load.tasks
    there = there or _slots_there(load)
    free = list(there.free)
    free += [(LAUNCH + BOOT + k * load.stagger, new) for k in range(load.cores)] if new else []
    number = there.busy + sum(count for _, count in free)
    if not number:
        return math.inf
    job = max(load.job_seconds, 1.0)
    low = 0.0
    high = max((at for at, _ in free), default=0.0) + job * (1 + load.waiting / number)
    while high - low > 1 + high / 1000:
        middle = (low + high) / 2
        # Slots at work come free evenly; a new one takes a job at once, then one a job's time.
        begun = there.busy * middle / job
        for at, count in free:
            if at <= middle:
                rounds = (middle - at) / job
                begun += count * (1 + (math.floor(rounds) if alike else rounds))
        low, high = (low, middle) if begun >= load.waiting else (middle, high)
    return high + job * (1.0 if alike else max(1.0, math.log(max(1, load.waiting)) + 0.58))


def _slots_there(load: Load) -> _Slots:
    """Of the machines that are there or coming, and take work."""
    launches = Counter[float]({LAUNCH: load.coming})
    for age in sorted(load.ages, reverse=True)[: max(0, len(load.ages) - load.draining)]:
        launches[-min(age, BOOT + load.cores * load.stagger) // _GRAIN * _GRAIN] += 1
    slots = Counter[float]()
    for launch, count in launches.items():
        for core in range(load.cores):
            slots[max(0.0, launch + BOOT + core * load.stagger)] += count * load.tasks
    # Each draining machine holds a job; the others are held by slots that are ready.
    busy = min(slots[0.0], max(0, load.held - load.draining))
    slots[0.0] -= busy
    free = tuple(sorted((at, count) for at, count in slots.items() if count))
    return _Slots(busy=busy, free=free)


def jobs_left(record: RunRecord, seen: Observation) -> int:
    """Jobs that haven't ended, by the ledger; by the queue where there is none."""
    if record.worker == "dcp" and record.closed and seen.queue is not None:
        return seen.queue.messages
    return max(0, record.jobs - seen.progress.done - seen.progress.dead)


def load_of(record: RunRecord, config: RunConfig, seen: Observation) -> Load:
    """The load of a run, as a tick sees it."""
    jobs = jobs_left(record, seen)
    found = capacity(record, seen)
    finishing = {host.instance_id for host in found.leaving if host.busy}
    empty = {host.instance_id for host in found.leaving} - finishing
    # Those that spot takes back are gone in two minutes: their replacements may come meanwhile. And
    # those that can be called back come before any others.
    revivable = {host.instance_id for host in found.revivable}
    staying = len((finishing & seen.drained) - revivable)
    working = [view for view in seen.instances if view.works and view.instance_id not in empty]
    slots = config.slots_per_machine * len(working)
    # Counts lag: no more jobs are held than there are slots, and what nobody holds waits.
    held = min(seen.queue.in_flight, slots) if seen.queue is not None else 0
    visible = seen.queue.visible if seen.queue is not None else 0
    most = config.cluster_machines
    limit = min(most, record.machine_limit or most, record.scaled_to or most)
    since = seen.now - (record.started_at or seen.now)
    known = seen.progress.seconds if seen.progress.timed >= ENOUGH_JOBS else None
    return Load(
        jobs=jobs,
        waiting=min(jobs, max(visible, jobs - held)),
        job_seconds=known or float(config.sqs_message_visibility),
        limit=limit,
        limit_new=(1 if record.cheapest and since > CHEAPEST_AFTER else limit) - staying,
        tasks=config.tasks_per_machine,
        cores=config.docker_cores,
        stagger=float(config.seconds_to_start),
        ages=tuple(_age(instance, seen.now) for instance in working),
        coming=found.coming,
        draining=len(finishing),
        failures=seen.progress.failures > 0,
    )


def _age(instance: InstanceView, now: datetime) -> float:
    """Seconds since launch; a machine of unknown age is an old one."""
    if instance.launched_at is None:
        return math.inf
    return max(0.0, (now - instance.launched_at).total_seconds())
