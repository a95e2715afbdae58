"""A simulated account with runs at work in it, of any size, made without waiting for them.

The simulator's AWS (`tests/sim`) answers in AWS's pages: 1,000 machines or keys, 100 container
instances. Submissions and ticks are the real ones. Machines, their containers and what those do
are put where a life of some minutes would have put them.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, islice
from typing import cast

from chalicelib.aws.clients import Clients
from chalicelib.aws.services import Services
from chalicelib.contract import DONE, JobMessage, LedgerEntry
from chalicelib.core.run import Phase, RunRecord
from chalicelib.operations.submit import Upload, submit
from tests.aws.samples import config_keys, job_file
from tests.sim.ec2 import FLEET_TAG, Machine, from_tags
from tests.sim.edge import Process
from tests.sim.faults import Call
from tests.sim.history import SETTINGS, OneByOne
from tests.sim.timeline import HOUR, MINUTE
from tests.sim.worker import Job, Slot, Task
from tests.sim.world import IMAGES, STATE, Laws, World

#: Nothing comes by itself, and counts are exact.
_LAWS = Laws(capacity=((0.0, 0),), count_lag=0.0)


@dataclass
class Calls:
    """Requests to AWS, by operation."""

    by: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.by.total()

    def of(self, *methods: str) -> int:
        return sum(self.by[method] for method in methods)

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in self.by.most_common())


class Account:
    """Runs App0, App1 … of so many machines each, all at work, and twice as many jobs (40 at least)."""

    def __init__(self, runs: int, machines: int):
        self.world = World(1, _LAWS)
        self.machines = machines
        self._number = count(1)
        for number in range(runs):
            self._submit(f"App{number}")
        for run in self.runs():
            self._furnish(run)

    # --- the control plane -----------------------------------------------------------------------

    @contextmanager
    def process(self) -> Iterator[tuple[Services, Calls]]:
        """One Lambda, and what it asks of AWS."""
        world, calls = self.world, Calls()

        def note(call: Call, _index: int) -> None:
            calls.by[f"{call.service}.{call.method}"] += 1

        world.faults.on_call = note
        services = Services(
            settings=SETTINGS,
            clients=cast("Clients", Process(world, "tick")),
            now=world.time.moment,
            deadline=world.time.moment() + timedelta(minutes=15),
            owner=f"process-{next(self._number)}",
            executor=OneByOne,
        )
        yield services, calls
        world.faults.on_call = None

    def minute(self) -> None:
        self.world.time.pass_time(MINUTE)

    def runs(self) -> list[RunRecord]:
        """Live runs, in order."""
        bucket = self.world.s3.buckets[STATE]
        found = [key.removeprefix("live/") for key in bucket.below("live/")]
        return [self.record(name) for name in found]

    def record(self, run_id: str) -> RunRecord:
        body = self.world.s3.read(STATE, f"runs/{run_id}/run.json")
        assert body is not None
        return RunRecord.from_json(body)

    def is_over(self, run_id: str) -> bool:
        return self.record(run_id).phase is Phase.FINISHED

    def _submit(self, app: str) -> None:
        keys = config_keys(
            app,
            AWS_BUCKET=IMAGES,
            WORKER="cellfleet",
            CLUSTER_MACHINES=self.machines,
            DOCKER_CORES=1,
            CPU_SHARES=1024,
            SQS_MESSAGE_VISIBILITY=3600,
        )
        body = json.dumps(job_file(2 * max(self.machines, 20), config=keys)).encode()
        stored = self.world.s3.write(STATE, f"jobs/{app}/plate.json", body)
        upload = Upload(
            app=app,
            name="plate",
            bucket=STATE,
            key=f"jobs/{app}/plate.json",
            version=stored.version,
        )
        with self.process() as (services, _):
            assert submit(services, upload).state == "closed"

    # --- the machines ----------------------------------------------------------------------------

    def _furnish(self, run: RunRecord) -> None:
        """What the requests of a run ask for is there, registered, and holds a job each."""
        ec2, now = self.world.ec2, self.world.time
        for asked in run.fleets:
            fleet = ec2.fleets[asked.fleet_id]
            fleet.launched = asked.machines
            launch = fleet.request["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"]
            data = ec2.templates[launch["LaunchTemplateName"]].data
            tags = {
                key: value
                for spec in data["TagSpecifications"]
                if spec["ResourceType"] == "instance"
                for key, value in from_tags(spec["Tags"]).items()
            }
            for number in islice(self._number, asked.machines):
                machine = Machine(
                    f"i-{number:017x}",
                    "running",
                    {**tags, FLEET_TAG: fleet.fleet_id},
                    fleet.fleet_id,
                    base64.b64decode(data["UserData"]).decode(),
                    now.moment().replace(microsecond=0),
                    now.now,
                )
                ec2.machines[machine.instance_id] = machine
                self.world.ecs.register(machine)
        self._begin(run)

    def _begin(self, run: RunRecord) -> None:
        """A container on each machine, with a job in hand."""
        ecs, queue = self.world.ecs, self.world.sqs.queues[f"{run.app}Queue"]
        service = ecs.services["lab", f"{run.app}Service"]
        hosts = [h for h in ecs.hosts.values() if h.attributes.get("cellfleet.run") == run.run_id]
        for host, message in zip(hosts, list(queue.messages.values()), strict=False):
            task = Task(self.world, service, host, next(self._number))
            task.status = "RUNNING"
            slot = Slot(task)
            message.receives, message.visible_at = 1, self.world.time.now + 12 * HOUR
            decoded = JobMessage.decode(message.body)
            slot.job = Job(decoded, message.body, "r", 1, self.world.time.now, "a")
            task.slots.append(slot)
            ecs.tasks.append(task)

    def end_jobs(self, run: RunRecord, jobs: int | None = None, *, waiting: bool = False) -> None:
        """So many jobs end, or all: of those in hand (their machines are idle then) or, `waiting`, of
        those that nobody had taken yet (as if taken and ended since)."""
        world = self.world
        queue, now = world.sqs.queues[f"{run.app}Queue"], world.time.now
        fit = [n for n, m in queue.messages.items() if (m.visible_at <= now) is waiting][:jobs]
        ended = set()
        for number in fit:
            message = JobMessage.decode(queue.messages.pop(number).body)
            ended.add(message.job)
            self._record(run, message)
        for task in world.ecs.tasks:
            for slot in task.slots:
                if slot.job is not None and slot.job.message.job in ended:
                    slot.job = None

    def _record(self, run: RunRecord, message: JobMessage) -> None:
        entry = LedgerEntry(
            run=run.run_id,
            minute=f"{self.world.time.moment():%Y%m%dT%H%M}",
            submission=message.submission,
            job=message.job,
            attempt=1,
            outcome=DONE,
            seconds=3600,
        )
        self.world.s3.write(STATE, entry.key(), b"{}")
