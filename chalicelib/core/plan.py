"""Plans are data: what to do to AWS, decided purely, printed for a dry run, executed at the rim.

One frozen dataclass for each thing that can be done; the union is closed, so that the
executor and mypy know when one is forgotten. Deleting what isn't there is success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.run import Fleet, LogExport, Result
from chalicelib.core.upload import Upload

Spec = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CreateQueue:
    name: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"create queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class UpdateQueue:
    name: str
    url: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        changes = ", ".join(sorted(self.attributes)) or "tags"
        return f"update {changes} of queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteQueue:
    name: str
    url: str

    def __str__(self) -> str:
        return f"delete queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class PurgeQueue:
    """Messages in flight go too: who works on one can't renew its lease, and publishes nothing."""

    name: str
    url: str

    def __str__(self) -> str:
        return f"purge queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class CreateLogGroup:
    name: str
    days: int

    def __str__(self) -> str:
        return f"create log group {self.name}, kept for {self.days} days"


@dataclass(frozen=True, kw_only=True)
class CreateCluster:
    name: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"create cluster {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteCluster:
    name: str

    def __str__(self) -> str:
        return f"delete cluster {self.name}"


@dataclass(frozen=True, kw_only=True)
class RegisterTaskDefinition:
    spec: Spec
    digest: str

    def __str__(self) -> str:
        return f"register task definition {self.spec['family']}"


@dataclass(frozen=True, kw_only=True)
class DeregisterTaskDefinition:
    arn: str

    def __str__(self) -> str:
        return f"deregister task definition {self.arn.rsplit('/', 1)[-1]}"


@dataclass(frozen=True, kw_only=True)
class CreateService:
    spec: Spec

    def __str__(self) -> str:
        return f"create service {self.spec['serviceName']}"


@dataclass(frozen=True, kw_only=True)
class UpdateService:
    cluster: str
    service: str
    desired: int | None = None
    task_definition: str = ""
    constraints: tuple[Spec, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.desired} containers"] if self.desired is not None else []
        parts += [self.task_definition.rsplit("/", 1)[-1]] if self.task_definition else []
        parts += [str(constraint["expression"]) for constraint in self.constraints]
        return f"set service {self.service} to {', '.join(parts)}"


@dataclass(frozen=True, kw_only=True)
class TagService:
    arn: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"tag service {self.arn.rsplit('/', 1)[-1]}"


@dataclass(frozen=True, kw_only=True)
class DeleteService:
    cluster: str
    service: str

    def __str__(self) -> str:
        return f"delete service {self.service}"


@dataclass(frozen=True, kw_only=True)
class DeregisterInstance:
    cluster: str
    arn: str

    def __str__(self) -> str:
        return f"deregister container instance {self.arn.rsplit('/', 1)[-1]}"


@dataclass(frozen=True, kw_only=True)
class DrainInstances:
    """Take no new tasks; those that hold no job are stopped, protected ones finish."""

    cluster: str
    arns: tuple[str, ...]
    instance_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"let {len(self.arns)} machines finish and take no more jobs"


@dataclass(frozen=True, kw_only=True)
class ActivateInstances:
    """Call back machines that were told to leave."""

    cluster: str
    arns: tuple[str, ...]
    instance_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"call back {len(self.arns)} machines"


@dataclass(frozen=True, kw_only=True)
class CreateLaunchTemplate:
    name: str
    data: Spec
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"create launch template {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteLaunchTemplate:
    name: str

    def __str__(self) -> str:
        return f"delete launch template {self.name}"


@dataclass(frozen=True, kw_only=True)
class RequestFleet:
    """Stored in the run record first, by its token, then sent."""

    fleet: Fleet

    def __str__(self) -> str:
        full = self.fleet.on_demand
        price = f", {full} of them at full price" if full else ""
        return f"request {self.fleet.machines} spot machines{price}"


@dataclass(frozen=True, kw_only=True)
class CancelFleet:
    fleet_id: str
    #: It gets no more machines, but those that are there stay.
    keep_machines: bool = False

    def __str__(self) -> str:
        what = "but keep" if self.keep_machines else "and"
        return f"cancel fleet {self.fleet_id} {what} its machines"


@dataclass(frozen=True, kw_only=True)
class CancelFleets:
    fleet_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"cancel {', '.join(self.fleet_ids)} and what they brought"


@dataclass(frozen=True, kw_only=True)
class ShrinkFleet:
    """Lower what a `maintain` fleet keeps up; its machines stay until they are terminated."""

    fleet_id: str
    target: int

    def __str__(self) -> str:
        return f"lower the target of fleet {self.fleet_id} to {self.target} machines"


@dataclass(frozen=True, kw_only=True)
class TerminateInstances:
    instance_ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"terminate {len(self.instance_ids)} machines"


@dataclass(frozen=True, kw_only=True)
class PutDashboard:
    name: str
    body: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"draw dashboard {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteDashboard:
    name: str

    def __str__(self) -> str:
        return f"delete dashboard {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteAlarms:
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"delete alarms {', '.join(self.names)}"


@dataclass(frozen=True, kw_only=True)
class PutFile:
    bucket: str
    key: str
    body: str

    def __str__(self) -> str:
        return f"write s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class DeleteFile:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"delete s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class ChangePhase:
    """By compare-and-swap; whoever loses re-reads and decides anew."""

    phase: str
    outcome: str = ""
    #: How the jobs ended, to be kept with the teardown's beginning.
    result: Result | None = None

    def __str__(self) -> str:
        return f"the run is {self.phase}{f' ({self.outcome})' if self.outcome else ''}"


@dataclass(frozen=True, kw_only=True)
class Remember:
    """Fields of the run record to set: what AWS gave us, or what was done.

    Left out when an action before it failed.
    """

    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return f"record {', '.join(sorted(self.fields))}"


@dataclass(frozen=True, kw_only=True)
class ResolveMissing:
    """Find the jobs that no outcome was recorded of: send them again, or enter them as dead."""

    send_again: bool

    def __str__(self) -> str:
        return f"{'send lost jobs again' if self.send_again else 'enter lost jobs as dead'}"


@dataclass(frozen=True, kw_only=True)
class ExportLogs:
    """Events from `start` to `end`, in milliseconds since 1970. Written down before it is asked
    for; while the account has another export under way, nothing happens."""

    group: str
    task_name: str
    bucket: str
    prefix: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"export logs of {self.group} to s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, kw_only=True)
class RecordExport:
    """How the export of a log group stands; kept in the run record."""

    export: LogExport

    def __str__(self) -> str:
        return f"logs of {self.export.group}: {self.export.told or self.export.state}"


@dataclass(frozen=True, kw_only=True)
class ForgetExports:
    """Nothing is left to export: the run's mark goes."""

    def __str__(self) -> str:
        return "all logs of the run are settled"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something the user should know; kept in the run record."""

    text: str

    def __str__(self) -> str:
        return f"note: {self.text}"


@dataclass(frozen=True, kw_only=True)
class StartNextStep:
    """Mark the next job file as waiting to be submitted. Marking it again changes nothing."""

    upload: Upload

    def __str__(self) -> str:
        return f"go on with {self.upload.key} (app {self.upload.app})"


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Tell the run's topic, once for each kind. What can't be told holds up nothing."""

    kind: str
    subject: str
    body: str

    def __str__(self) -> str:
        return f"send the notice {self.kind!r}: {self.subject}"


Action = (
    CreateQueue
    | UpdateQueue
    | DeleteQueue
    | PurgeQueue
    | CreateLogGroup
    | CreateCluster
    | DeleteCluster
    | RegisterTaskDefinition
    | DeregisterTaskDefinition
    | CreateService
    | UpdateService
    | TagService
    | DeleteService
    | DeregisterInstance
    | DrainInstances
    | ActivateInstances
    | CreateLaunchTemplate
    | DeleteLaunchTemplate
    | RequestFleet
    | CancelFleet
    | CancelFleets
    | ShrinkFleet
    | TerminateInstances
    | PutDashboard
    | DeleteDashboard
    | DeleteAlarms
    | PutFile
    | DeleteFile
    | ChangePhase
    | Remember
    | ResolveMissing
    | ExportLogs
    | RecordExport
    | ForgetExports
    | Note
    | Notify
    | StartNextStep
)
Plan = tuple[Action, ...]
