"""One AWS account with a clock: its services, its machines, and what isn't ours in it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chalicelib import contract
from chalicelib.contract import JobMessage
from chalicelib.core.naming import TAG_DEPLOYMENT, TAG_RUN
from tests.sim.ec2 import EC2, Machine
from tests.sim.ecs import ECS
from tests.sim.faults import Call, Faults
from tests.sim.s3 import S3
from tests.sim.sqs import SQS
from tests.sim.timeline import HOUR, MINUTE, Timeline
from tests.sim.watch import SNS, SSM, STS, CloudWatch, Logs, Tagging

T = TypeVar("T")

#: The deployment bucket, and the one of the user's images and results.
STATE, IMAGES = "imaging-core-cellfleet", "imaging-core"
#: The job file to go on with, where a scenario has one.
NEXT = "chains/next.json"
#: The host powers itself off so long after the last sign of life, in seconds.
DEAD_MAN = 15 * MINUTE
#: From then on no machine is lost by bad luck: a job longer than machines live would never end.
CALM = 5 * HOUR


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of a job: good, flaky (fails once), stubborn (fails always), doomed (fails in a
    way that trying again can't mend), killer (takes its container with it)."""

    kind: str
    seconds: float

    def of_attempt(self, number: int) -> str:
        """The cause of failure of an attempt; "" if it goes well."""
        match self.kind:
            case "flaky":
                return contract.CRASH if number == 1 else ""
            case "stubborn":
                return contract.CRASH
            case "doomed":
                return contract.INPUT
            case "killer":
                return "kill"
        return ""


@dataclass(frozen=True, kw_only=True)
class Laws:
    """How this world behaves. Times in seconds; each is the longest of a range."""

    boot: float = 60
    register: float = 90
    pull: float = 60
    shutdown: float = 60
    deregister: float = 120
    drain: float = 60
    #: Counts of queues may be so old; with the chance `flap`, a reading is nonsense.
    count_lag: float = 45
    flap: float = 0.0
    flapping: float = HOUR
    delete_lag: float = 40
    late_ledger: float = 0.0
    #: Clocks of machines are so wrong at most, and those of Lambdas.
    skew: float = 0.0
    #: Items of a listing's page.
    page: int = 1000
    versioned: bool = True
    #: Containers that fit on a machine.
    room: int = 1
    #: The share of machines that never register.
    faulty: float = 0.0
    #: Spot notices, and ends without notice, an hour and machine.
    interruptions: float = 0.0
    vanishing: float = 0.0
    #: From when on, how many machines there are to have.
    capacity: tuple[tuple[float, int], ...] = ((0.0, 1000),)
    job_seconds: float = 180.0
    #: Shares of jobs by their fate; the rest are good.
    fates: tuple[tuple[str, float], ...] = ()

    def capacity_at(self, now: float) -> int:
        return [room for since, room in self.capacity if since <= now][-1]


class World:
    """Everything that there is. `seed` decides all that is left to chance."""

    def __init__(self, seed: int, laws: Laws, faults: Faults | None = None):
        self.seed = seed
        self.laws = laws
        self.chance = random.Random(seed)
        self.faults = faults or Faults(random.Random(seed + 1))
        self.time = Timeline()
        self.images = IMAGES
        self.s3 = S3(self)
        self.sqs = SQS(self)
        self.ec2 = EC2(self)
        self.ecs = ECS(self)
        self.cloudwatch = CloudWatch(self)
        self.logs = Logs(self)
        self.ssm = SSM(self)
        self.sts = STS(self)
        self.sns = SNS(self)
        self.tagging = Tagging(self)
        for bucket in (STATE, IMAGES):
            self.s3.make(bucket, versioned=laws.versioned)
        #: Jobs that DCP's workers finished: they keep no ledger.
        self.done_by_dcp: set[str] = set()
        self.starts: Counter[str] = Counter()
        #: Called with every call and its answer.
        self.witness: Callable[[Call, Any], None] | None = None
        #: The most machines that each run had at once.
        self.most_machines: Counter[str] = Counter()
        #: How many machines each run lost by bad luck.
        self.lost_machines: Counter[str] = Counter()
        #: Workers that the control plane stopped at work, while their run was open.
        self.disturbed: list[str] = []
        #: How often each job was broken off, through no fault of its own.
        self.broken_off: Counter[str] = Counter()
        #: Minutes of machines that were on, held no job, and had none to wait for, by run.
        self.idle: Counter[str] = Counter()
        self.time.every(MINUTE, self._count_idle)
        self._fates: dict[str, Fate] = {}
        self._skews: dict[str, float] = {}

    # --- machines --------------------------------------------------------------------------------

    def _count_idle(self) -> None:
        """What is paid for nothing, while the run still has jobs at work."""
        busy = {id(task.machine) for task in self.ecs.tasks if task.busy}
        waiting = any(
            message.visible_at <= self.time.now
            for queue in self.sqs.queues.values()
            if queue.tags.get(TAG_DEPLOYMENT) == STATE and "Dead" not in queue.name
            for message in queue.messages.values()
        )
        for machine in self.ec2.there():
            if machine.user_data and id(machine) not in busy and not waiting:
                self.idle[machine.tags.get(TAG_RUN, "")] += 1

    def machine_was_launched(self, machine: Machine) -> None:
        run = machine.tags.get(TAG_RUN, "")
        # One that spot takes back has two minutes left; its replacement may come meanwhile.
        there = sum(m.tags.get(TAG_RUN) == run and not m.noticed for m in self.ec2.there())
        self.most_machines[run] = max(self.most_machines[run], there)

    def machine_boots(self, machine: Machine) -> None:
        """Its agent starts, its host script watches, and its end may already be sealed."""
        laws, chance = self.laws, self.chance
        if chance.random() >= laws.faulty:
            delay = chance.uniform(10, laws.register)
            self.time.after(delay, lambda: self.ecs.register(machine))
        self.time.after(MINUTE, lambda: self._dead_man(machine))
        if laws.interruptions:
            when = chance.expovariate(laws.interruptions) * HOUR
            self.time.after(when, lambda: self.interrupt(machine))
        if laws.vanishing:
            when = chance.expovariate(laws.vanishing) * HOUR
            self.time.after(when, lambda: self.vanish(machine))

    def control_plane_ends(self, machine: Machine) -> None:
        """Was it at work, in a run that goes on?"""
        run = machine.tags.get(TAG_RUN, "")
        busy = any(task.machine is machine and task.busy for task in self.ecs.tasks)
        body = self.s3.read(STATE, f"runs/{run}/run.json")
        if machine.there and busy and body and b'"phase": "open"' in body:
            what = f"{machine.instance_id} was terminated at {self.time.now:.0f} s with a job on it"
            self.disturbed.append(what)

    def interrupt(self, machine: Machine) -> None:
        """A spot notice: two minutes are left. The agent drains, the host tells the workers."""
        if machine.state != "running" or self.time.now > CALM:
            return
        machine.noticed = True
        self.lost_machines[machine.tags.get(TAG_RUN, "")] += 1
        host = self.ecs.host_of(machine)
        if host is not None:
            host.status = "DRAINING"
        for task in [task for task in self.ecs.tasks if task.machine is machine]:
            task.stop("spot notice")
        self.time.after(120, lambda: self.ec2.terminate(machine))

    def vanish(self, machine: Machine) -> None:
        """Gone without a word."""
        if machine.there and self.time.now <= CALM:
            self.lost_machines[machine.tags.get(TAG_RUN, "")] += 1
            self.ec2.terminate(machine)

    def _dead_man(self, machine: Machine) -> None:
        if machine.state != "running":
            return
        tasks = [task for task in self.ecs.tasks if task.machine is machine]
        if any(task.busy and not task.run for task in tasks):
            machine.alive = self.time.now  # DCP's workers leave no sign, but use the processor
        if self.time.now - machine.alive > DEAD_MAN:
            self.ec2.terminate(machine)
            return
        self.time.after(MINUTE, lambda: self._dead_man(machine))

    # --- jobs ------------------------------------------------------------------------------------

    def fate(self, job: str) -> Fate:
        """Decided by the seed and the job alone, however often it is asked."""
        found = self._fates.get(job)
        if found is None:
            chance = random.Random(f"{self.seed}/{job}")
            kind, left = "good", chance.random()
            for name, share in self.laws.fates:
                if left < share:
                    kind = name
                    break
                left -= share
            seconds = max(5.0, chance.lognormvariate(0, 0.5) * self.laws.job_seconds)
            found = self._fates[job] = Fate(kind=kind, seconds=seconds)
        return found

    def started(self, message: JobMessage) -> None:
        self.starts[f"{message.submission}.{message.job}"] += 1

    def skew_of(self, machine: Machine) -> float:
        if not self.laws.skew:
            return 0.0
        if machine.instance_id not in self._skews:
            self._skews[machine.instance_id] = self.chance.uniform(-1, 1) * self.laws.skew
        return self._skews[machine.instance_id]

    # --- listings --------------------------------------------------------------------------------

    def paged(
        self, found: Sequence[T], token: str, size: int, field_name: str
    ) -> tuple[list[T], dict[str, str]]:
        """One page, and how to go on."""
        first = int(token or 0)
        last = first + min(size, self.laws.page)
        more = {field_name: str(last)} if last < len(found) else {}
        return list(found[first:last]), more
