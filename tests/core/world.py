"""AWS as one run sees it, without AWS: a plan's actions change it, time changes it, looks read it.

Harsher than AWS where AWS may be harsh: container instances stay registered after their machine
is gone, and unwatched fleets replace what is terminated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core import keys
from chalicelib.core.actions.machines import RequestFleet
from chalicelib.core.actions.record import Remember
from chalicelib.core.config import RunConfig
from chalicelib.core.decide import decide
from chalicelib.core.naming import Names
from chalicelib.core.observation import (
    Account,
    ClusterView,
    FleetView,
    HostView,
    InstanceView,
    Observation,
    Progress,
    QueueView,
    ServiceView,
    SetupView,
    is_ours,
)
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import Fleet, Phase, RunRecord
from chalicelib.core.scale_in import surplus
from chalicelib.core.setup import decide_setup
from chalicelib.core.start import fleet_plan, missing_machines, unsent
from chalicelib.settings import Settings
from tests.core.factories import (
    ACCOUNT,
    NOW,
    PREPARED,
    TODAYS_IMAGE,
    config,
    submission,
    unborn,
)
from tests.core.world_actions import Refused, carry_out, store

MINUTE = timedelta(minutes=1)
Fails = Callable[[Action], bool]


def never(_action: Action) -> bool:
    return False


@dataclass
class World:
    """Everything that one run can see or touch, and its record."""

    record: RunRecord
    config: RunConfig
    account: Settings = PREPARED
    now: datetime = NOW
    queue: QueueView | None = None
    dead_letter: QueueView | None = None
    cluster: ClusterView | None = None
    service: ServiceView | None = None
    constraints: tuple[Mapping[str, Any], ...] = ()
    log_groups: dict[str, int] = field(default_factory=dict)
    task_definitions: list[str] = field(default_factory=list)
    revisions: int = 0
    templates: dict[str, dict[str, str]] = field(default_factory=dict)
    #: By id: the fleet's state, what was asked for, and how many machines it has launched.
    fleets: dict[str, FleetView] = field(default_factory=dict)
    requests: dict[str, Fleet] = field(default_factory=dict)
    launched: dict[str, int] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    #: Machines that AWS has to give.
    capacity: int = 1_000_000
    container_instances: set[str] = field(default_factory=set)
    #: Machines that take no new tasks, since when; and how many jobs each machine holds.
    draining: dict[str, datetime] = field(default_factory=dict)
    revived_at: datetime | None = None
    busy: dict[str, int] = field(default_factory=dict)
    alarms: set[str] = field(default_factory=set)
    #: Machines that any look has seen.
    met: set[str] = field(default_factory=set)
    dashboards: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    empty_since: datetime | None = None
    empty_readings: int = 0
    history: list[Action] = field(default_factory=list)

    @property
    def names(self) -> Names:
        return Names.of(self.config)

    def ours(self, thing: QueueView | ServiceView | ClusterView) -> bool:
        return is_ours(thing.tags, app=self.record.app, deployment=self.record.deployment)

    def remember(self, **fields: Any) -> None:
        self.record = self.record.model_copy(update=fields)

    # --- looks -----------------------------------------------------------------------------------

    def look_for_setup(self) -> SetupView:
        return SetupView(
            queue=self.queue,
            dead_letter=self.dead_letter,
            cluster=self.cluster,
            service=self.service,
            log_groups=dict(self.log_groups),
        )

    def look(self) -> Observation:
        """What the monitor reads: no more than it reads of AWS, in each phase."""
        self.met |= set(self.instances)
        ending = self.record.phase is not Phase.OPEN
        lost = ending and any(not fleet.fleet_id for fleet in self.record.fleets)
        known = {fleet.fleet_id for fleet in self.record.fleets}
        seen = Observation(
            now=self.now,
            queue=self.queue if self.record.queue_url else None,
            service=self.service,
            progress=self.progress,
            fleets=tuple(f for f in self.fleets.values() if lost or f.fleet_id in known),
            instances=tuple(
                InstanceView(instance_id=name, state=state, fleet_id=name[2:].rpartition("-")[0])
                for name, state in self.instances.items()
            )
            if self.record.fleets
            else (),
            empty_since=self.empty_since,
            empty_readings=self.empty_readings,
        )
        if self.record.phase is Phase.TEARING_DOWN:
            return self._with_remains(seen)
        seen = replace(
            seen,
            launched={name: count for name, count in self.launched.items() if count},
            drained=frozenset(self.draining),
            leaving_since=dict(self.draining),
            revived_at=self.revived_at,
        )
        if self.draining or surplus(self.record, self.config, seen):
            seen = replace(seen, hosts=self._hosts())
        due = missing_machines(self.record, self.config, seen) or unsent(self.record, self.now)
        return replace(seen, account=self._account()) if due else seen

    def _hosts(self) -> tuple[HostView, ...]:
        """A machine runs its tasks; one that is draining only those that hold a job."""
        found = []
        for arn in sorted(self.container_instances):
            name = arn.removeprefix("container-instance/")
            leaves = name in self.draining
            tasks = min(1, self.busy.get(name, 0)) if leaves else self.config.tasks_per_machine
            found.append(
                HostView(
                    cluster=self.names.cluster,
                    arn=arn,
                    instance_id=name,
                    status="DRAINING" if leaves else "ACTIVE",
                    running=tasks,
                )
            )
        return tuple(found)

    def _account(self) -> Account:
        found = fleet_plan(self.record, self.config, self.account, ACCOUNT)
        return Account(
            fleet=found,
            images={spec.image_id: TODAYS_IMAGE for spec in found.machines},
            launch_templates=tuple(self.templates),
        )

    def _with_remains(self, seen: Observation) -> Observation:
        watched = {self.names.instance_alarm(instance) for instance in self.met}
        return replace(
            seen,
            remains=True,
            last_things=True,
            cluster=self.cluster,
            monitor_file=f"{self.config.aws_bucket}/{keys.monitor_file(self.record.app)}"
            in self.files,
            hosts=self._hosts(),
            task_definitions=tuple(self.task_definitions),
            launch_templates=tuple(self.templates),
            alarms=tuple(sorted(self.alarms & watched)) if self.record.worker == "dcp" else (),
            dashboard=bool(self.record.dashboard) and self.names.dashboard in self.dashboards,
        )

    def remains(self) -> list[str]:
        """What is left of the run, in words."""
        left = [f"{name} ({state})" for name, state in self.instances.items()]
        left += [f.fleet_id for f in self.fleets.values() if not f.over]
        left += [*self.container_instances, *self.templates, *self.task_definitions, *self.alarms]
        if self.config.clean_dashboard:
            left += [name for name in self.dashboards if name == self.names.dashboard]
        left += ["queue"] if self.queue is not None and self.ours(self.queue) else []
        left += ["service"] if self.service is not None and self.ours(self.service) else []
        return left

    # --- rounds ----------------------------------------------------------------------------------

    def set_up(self, fails: Fails = never) -> list[Plan]:
        """Set-up until nothing is left to do; the plans that it took."""
        plans: list[Plan] = []
        while todo := decide_setup(self.record, self.config, self.account, self.look_for_setup()):
            plans.append(todo)
            assert len(plans) < 50, f"set-up doesn't come to an end: {todo}"
            self.execute(todo, fails)
        return plans

    def tick(self, fails: Fails = never, rounds: int = 5) -> list[Plan]:
        """One tick, as the monitor does it: until nothing is left to do, or something failed."""
        plans: list[Plan] = []
        for _ in range(rounds):
            todo = decide(self.record, self.config, self.look())
            if not todo:
                break
            plans.append(todo)
            if not self.execute(todo, fails):
                break
        return plans

    def execute(self, todo: Plan, fails: Fails = never) -> bool:
        """Each action on its own; whether all of them were done."""
        failures = 0
        for action in todo:
            if failures and isinstance(action, Remember):
                continue
            try:
                if fails(action):
                    self.fail(action)
                carry_out(action, self)
                self.history.append(action)
            except Refused:
                failures += 1
        return not failures

    def fail(self, action: Action) -> None:
        """Leave the world as it is, but for what is written down before AWS is asked."""
        if isinstance(action, RequestFleet):
            store(self, action.fleet)
        raise Refused(str(action))

    def pass_time(self, time: timedelta = MINUTE) -> None:
        """Machines come and go, what is on its way out is gone."""
        self.now += time
        self.instances = {
            name: "running" if state == "pending" else state
            for name, state in self.instances.items()
            if state != "shutting-down"
        }
        if self.service is not None and self.service.status == "DRAINING":
            self.service = None
        for name, view in self.fleets.items():
            self._launch(name, view)

    def _launch(self, name: str, view: FleetView) -> None:
        asked = self.requests.get(name)
        if asked is None or view.over or asked.valid_until <= self.now:
            return
        if asked.request.get("Type") == "maintain":
            mine = [i for i in self.instances if i.startswith(f"i-{name}-")]
            wanted = view.target - len(mine)
        else:
            wanted = view.target - self.launched[name]
        for _ in range(min(wanted, max(0, self.capacity - len(self.instances)))):
            self.launched[name] += 1
            machine = f"i-{name}-{self.launched[name]}"
            self.instances[machine] = "pending"
            self.container_instances.add(f"container-instance/{machine}")
            if self.record.worker == "dcp":
                self.alarms.add(self.names.instance_alarm(machine))


def running(jobs: int, **keys: Any) -> World:
    """A world that is set up and wants machines for so many jobs; keys are DCP's."""
    settings = config(**keys)
    found = World(record=unborn(settings), config=settings)
    found.set_up()
    found.remember(start=True, submissions={"5a": submission(jobs)})
    return found
