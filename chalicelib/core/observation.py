"""What is really there, as read from AWS. Absent things are None or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.ailment import Ailment
from chalicelib.core.fleet import Image
from chalicelib.core.fleet_file import FleetPlan
from chalicelib.core.naming import TAG_APP, TAG_DEPLOYMENT


@dataclass(frozen=True, kw_only=True)
class QueueView:
    """A queue; counts are approximate and may lag by a minute."""

    url: str
    arn: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    visible: int = 0
    in_flight: int = 0

    @property
    def messages(self) -> int:
        return self.visible + self.in_flight


@dataclass(frozen=True, kw_only=True)
class ServiceView:
    """An ECS service that isn't INACTIVE."""

    arn: str
    status: str
    desired: int
    running: int
    pending: int
    task_definition: str
    tags: Mapping[str, str] = field(default_factory=dict)
    #: What ECS says that happened to it, newest first: pairs of time and text.
    events: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """An ECS cluster; the counts say whether it is in use."""

    name: str
    services: int
    instances: int
    tasks: int
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def unused(self) -> bool:
        return self.services == self.instances == self.tasks == 0


@dataclass(frozen=True, kw_only=True)
class FleetView:
    """A spot fleet request: its state as EC2 says it, and how many machines it wants.

    `activity` says how far it is: error, pending_fulfillment, pending_termination, fulfilled.
    """

    fleet_id: str
    state: str
    target: int
    activity: str = ""

    @property
    def over(self) -> bool:
        """It makes no more machines (those it made may still be running)."""
        return self.state.startswith("cancelled") or self.state == "failed"


@dataclass(frozen=True, kw_only=True)
class InstanceView:
    """A machine of this run, not yet terminated. `state` is EC2's.

    `fleet_id` is the fleet that launched it, "" if EC2 doesn't say.
    """

    instance_id: str
    state: str
    launched_at: datetime | None = None
    machine_type: str = ""
    spot: bool = False
    fleet_id: str = ""

    @property
    def works(self) -> bool:
        """It works, or will when it has booted."""
        return self.state in ("pending", "running")


@dataclass(frozen=True, kw_only=True)
class HostView:
    """A machine of this run as ECS knows it: a container instance with the run's attribute.

    `status` is ACTIVE, DRAINING, or on its way in or out; `running` and `pending` count tasks;
    `connected` says whether ECS hears from the machine's agent.
    """

    arn: str
    cluster: str
    instance_id: str
    status: str = "ACTIVE"
    running: int = 0
    pending: int = 0
    registered_at: datetime | None = None
    connected: bool = True

    @property
    def busy(self) -> bool:
        """It holds tasks, or is about to."""
        return self.running + self.pending > 0


@dataclass(frozen=True, kw_only=True)
class FirstOutcome:
    """How a job's first attempt ended. `cause` is "" if it went well."""

    job: str
    cause: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The ledger's count of distinct jobs. `exact` after a full listing: only then it decides."""

    done: int = 0
    dead: int = 0
    failures: int = 0
    exact: bool = False
    #: How many failures (to be tried again) and deaths had which cause.
    failed_by: Mapping[str, int] = field(default_factory=dict)
    dead_by: Mapping[str, int] = field(default_factory=dict)
    #: What a done job takes, in seconds of wall time: a robust mean over `timed` jobs.
    seconds: float | None = None
    timed: int = 0
    #: The first outcomes, each of another job, in the order of time; interruptions left out.
    first: tuple[FirstOutcome, ...] = ()
    #: Jobs that ended a minute, over the last 15; None before the first.
    per_minute: float | None = None
    #: Jobs ended, per submission; filled by a full listing.
    ended: Mapping[str, int] = field(default_factory=dict)
    #: Jobs that died, per submission with any; filled by a full listing.
    dead_of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SetupView:
    """What stands where set-up would build. `log_groups`: name to retention in days (0: for ever)."""

    queue: QueueView | None
    dead_letter: QueueView | None
    cluster: ClusterView | None
    service: ServiceView | None
    log_groups: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What starting machines needs to know of the account. `images` maps each machine spec's AMI
    (as asked for, "" being the current ECS AMI) to what it is; `launch_templates` names those of
    the run that exist already."""

    fleet: FleetPlan
    images: Mapping[str, Image]
    launch_templates: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One look at one run."""

    now: datetime
    queue: QueueView | None
    service: ServiceView | None
    progress: Progress
    fleets: tuple[FleetView, ...] = ()
    instances: tuple[InstanceView, ...] = ()
    #: When the queue was first seen empty without a break since, and how often since.
    empty_since: datetime | None = None
    empty_readings: int = 0
    #: Only read when machines are to be started; the problem says why it couldn't be.
    account: Account | None = None
    start_problem: str = ""
    #: What ails the fleet; looked for only when machines or containers are missing.
    ailments: tuple[Ailment, ...] = ()
    #: The machines as ECS knows them; None when they weren't read. Read at the end, and before
    #: that only where machines are to go or something looks wrong.
    hosts: tuple[HostView, ...] | None = None
    #: What earlier ticks saw. Of each fleet, the most machines at once; since when machines were
    #: DRAINING, and their agents silent, by instance id; machines that we told to leave; when
    #: some were last called back.
    launched: Mapping[str, int] = field(default_factory=dict)
    leaving_since: Mapping[str, datetime] = field(default_factory=dict)
    silent_since: Mapping[str, datetime] = field(default_factory=dict)
    drained: frozenset[str] = frozenset()
    revived_at: datetime | None = None
    #: Machines that the last tick saw working.
    machines_before: int = 0
    #: Only read while the run is torn down: `remains`, then what follows; `last_things` (queue,
    #: alarms, cluster) only once no machine is left.
    remains: bool = False
    last_things: bool = False
    cluster: ClusterView | None = None
    task_definitions: tuple[str, ...] = ()
    launch_templates: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    #: There is a dashboard of ours, and the file that DCP's `monitor` reads.
    dashboard: bool = False
    monitor_file: bool = False
    #: There is a dashboard of our name that isn't ours; only read before the first is drawn.
    foreign_dashboard: bool = False


def is_ours(tags: Mapping[str, str], *, app: str, deployment: str) -> bool:
    """Whether the ownership tags name this app of this deployment (whichever run of it)."""
    return tags.get(TAG_APP) == app and tags.get(TAG_DEPLOYMENT) == deployment
