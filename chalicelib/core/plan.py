"""Plans are data: what to do to AWS, decided purely, printed for a dry run, executed at the rim.

One frozen dataclass for each thing that can be done; the union is closed, so that the
executor and mypy know when one is forgotten. Deleting what isn't there is success.
"""

from __future__ import annotations

from chalicelib.core.actions.ecs import (
    ActivateInstances,
    CreateCluster,
    CreateService,
    DeleteCluster,
    DeleteService,
    DeregisterInstance,
    DeregisterTaskDefinition,
    DrainInstances,
    RegisterTaskDefinition,
    TagService,
    UpdateService,
)
from chalicelib.core.actions.logs import ExportLogs, ForgetExports, RecordExport
from chalicelib.core.actions.machines import (
    CancelFleet,
    CancelFleets,
    CreateLaunchTemplate,
    DeleteLaunchTemplate,
    RequestFleet,
    ShrinkFleet,
    TerminateInstances,
)
from chalicelib.core.actions.queues import CreateQueue, DeleteQueue, PurgeQueue, UpdateQueue
from chalicelib.core.actions.record import (
    ChangePhase,
    Note,
    Notify,
    Remember,
    ResolveMissing,
    StartNextStep,
)
from chalicelib.core.actions.watch import (
    CreateLogGroup,
    DeleteAlarms,
    DeleteDashboard,
    DeleteFile,
    PutDashboard,
    PutFile,
)

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
