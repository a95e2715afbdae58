"""CellFleet's policy: its own decisions, on what a tick would see."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.fleet.laws import Case, Draws
from benchmarks.fleet.world import Machine, World
from chalicelib.aws.memory import Memory
from chalicelib.core.actions.ecs import ActivateInstances, DrainInstances
from chalicelib.core.actions.machines import CancelFleet, RequestFleet, TerminateInstances
from chalicelib.core.actions.record import Remember
from chalicelib.core.config import parse_keys
from chalicelib.core.fleet import Image
from chalicelib.core.fleet_file import from_settings
from chalicelib.core.job_times import robust_mean, time_class
from chalicelib.core.observation import (
    Account,
    HostView,
    InstanceView,
    Observation,
    Progress,
    QueueView,
)
from chalicelib.core.plan import Action
from chalicelib.core.run import RunRecord, Submission
from chalicelib.core.scale_in import decide_scale_in, surplus
from chalicelib.core.start import decide_start, missing_machines
from chalicelib.settings import Settings

ZERO = datetime(2024, 1, 1, tzinfo=UTC)
#: From a machine's launch to its registration with ECS, in seconds.
REGISTERS = 60.0
_SETTINGS = Settings(
    bucket="bench",
    region="us-east-1",
    subnets=("subnet-1",),
    security_groups=("sg-1",),
    instance_profile="machine",
    fleet_role="arn:aws:iam::123456789012:role/fleet",
    task_role="task",
    execution_role="execution",
    worker_image="worker:1",
)
_IMAGE = Image(image_id="ami-1", root_device="/dev/xvda", snapshots={"/dev/xvda": 30})


def visibility(case: Case) -> int:
    """What a user sets who follows DCP's advice: somewhat longer than the average job."""
    return 60 * math.ceil(case.mean * 1.25 / 60)


class CellFleet:
    """One request at the submission, then a tick a minute with the real decisions.

    What is seen is exact and fresh. The run is over, and all machines end, at the first tick
    after the last job.
    """

    period = 60.0

    def __init__(self, case: Case, draws: Draws, *, expected: int | None = None):
        self.case = case
        self.first = draws.phase
        self.config = parse_keys(
            {
                "APP_NAME": "Bench",
                "AWS_BUCKET": "bench",
                "AUTO_MONITOR": True,
                "CREATE_DASHBOARD": False,
                "CLUSTER_MACHINES": case.machines,
                "TASKS_PER_MACHINE": case.tasks,
                "DOCKER_CORES": case.cores,
                "SECONDS_TO_START": int(case.stagger),
                "SQS_MESSAGE_VISIBILITY": expected or visibility(case),
                "MACHINE_TYPE": ["m5.24xlarge"],
                "EBS_VOL_SIZE": 200,
            },
            "benchmark",
        ).config
        self.record = RunRecord(
            run_id="Bench-1",
            app="Bench",
            deployment="bench",
            created_at=ZERO,
            config=self.config.to_keys(),
            worker="cellfleet",
            image="worker:1",
            start=True,
            started_at=ZERO,
            queue_url="queue",
            task_definition="task",
            submissions={
                "1": Submission(source="s3://bench/jobs.json", jobs=case.jobs, closed=True)
            },
        )
        self.account = Account(
            fleet=from_settings(self.config, _SETTINGS, account="123456789012"),
            images={"": _IMAGE},
            launch_templates=("BenchWorker",),
        )
        #: What a tick hands to the next.
        self.memory = Memory()
        self._fleet_of: dict[int, str] = {}
        self._classes = Counter[int]()
        self._counted = 0

    def start(self, world: World) -> None:
        self.tick(world)

    def tick(self, world: World) -> None:
        """Look, decide, execute."""
        seen = self._look(world)
        actions: list[Action] = []
        if missing_machines(self.record, self.config, seen):
            seen = replace(seen, account=self.account)
            actions += decide_start(self.record, self.config, seen)
        actions += decide_scale_in(self.record, self.config, seen)
        for action in actions:
            self._execute(world, action)
        self.memory = self.memory.after(tuple(actions), seen.now)

    def idle(self, world: World, machine: Machine) -> None:
        """The next tick notices."""

    def lost(self, world: World) -> None:
        """The next tick notices."""

    def close(self, world: World) -> None:
        ticks = max(0, math.ceil((world.now - self.first) / self.period))
        for machine in list(world.machines.values()):
            world.terminate(machine, self.first + ticks * self.period)

    # --- the rim ---------------------------------------------------------------------------------

    def _look(self, world: World) -> Observation:
        now = ZERO + timedelta(seconds=world.now)
        there = [m for m in world.machines.values() if m.launched <= world.now]
        instances = tuple(
            InstanceView(
                instance_id=_name(m),
                state="running",
                launched_at=ZERO + timedelta(seconds=m.launched),
                fleet_id=self._fleet_of[m.number],
            )
            for m in there
        )
        self._classes.update(map(time_class, world.times[self._counted :]))
        self._counted = len(world.times)
        before = self.memory
        self.memory = before.with_machines(
            self.record, instances, None, self.config.tasks_per_machine, now
        )
        seen = Observation(
            now=now,
            queue=QueueView(
                url="queue",
                arn="queue",
                attributes={},
                visible=len(world.queue),
                in_flight=world.held,
            ),
            service=None,
            progress=Progress(
                done=self._counted,
                seconds=robust_mean(self._classes),
                timed=self._counted,
            ),
            instances=instances,
            launched=self.memory.launched,
            drained=frozenset(self.memory.drained),
            revived_at=self.memory.revived_at,
            machines_before=before.working,
        )
        if not (self.memory.leaving or surplus(self.record, self.config, seen)):
            return seen
        hosts = tuple(
            HostView(
                arn=_name(m),
                cluster="default",
                instance_id=_name(m),
                status="DRAINING" if m.draining else "ACTIVE",
                running=sum(m.on),
            )
            for m in there
            if m.launched + REGISTERS <= world.now
        )
        self.memory = self.memory.with_hosts(hosts, instances, now)
        return replace(
            seen,
            hosts=hosts,
            drained=frozenset(self.memory.drained),
            leaving_since=self.memory.leaving,
        )

    def _execute(self, world: World, action: Action) -> None:
        match action:
            case RequestFleet():
                self._request(world, action)
            case CancelFleet():
                self._close(world, action.fleet_id)
            case TerminateInstances():
                _each(world.terminate, _named(world, action.instance_ids))
            case DrainInstances():
                _each(world.drain, _named(world, action.instance_ids))
            case ActivateInstances():
                _each(world.revive, _named(world, action.instance_ids))
            case Remember():
                self._remember(**action.fields)
            case _:
                """Files and notes cost nothing."""

    def _request(self, world: World, action: RequestFleet) -> None:
        fleet_id = f"sfr-{len(self.record.fleets) + 1}"
        fleet = action.fleet.model_copy(update={"fleet_id": fleet_id})
        self._remember(fleets=(*self.record.fleets, fleet))
        for machine in world.launch(action.fleet.machines):
            self._fleet_of[machine.number] = fleet_id

    def _close(self, world: World, fleet_id: str) -> None:
        """The machines that it hasn't launched yet never come."""
        for machine in list(world.machines.values()):
            if self._fleet_of[machine.number] == fleet_id and machine.launched > world.now:
                world.terminate(machine)
        self._remember(
            fleets=tuple(
                f.model_copy(update={"closed": True}) if f.fleet_id == fleet_id else f
                for f in self.record.fleets
            )
        )

    def _remember(self, **fields: object) -> None:
        self.record = self.record.model_copy(update=fields)


def _name(machine: Machine) -> str:
    return f"i-{machine.number:06d}"


def _each(act: Callable[[Machine], object], machines: list[Machine]) -> None:
    for machine in machines:
        act(machine)


def _named(world: World, names: tuple[str, ...]) -> list[Machine]:
    return [m for name in names if (m := world.machines.get(int(name[2:]))) is not None]
