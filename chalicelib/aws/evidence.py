"""Signs of what ails a fleet: read only when machines or containers are missing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from chalicelib.aws.clients import Clients
from chalicelib.aws.errors import is_not_found
from chalicelib.core.ailment import Evidence, FleetEvent, StoppedTask
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.observation import Observation
from chalicelib.core.run import RunRecord
from chalicelib.core.suspicion import suspect_containers, suspect_fleet

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecs import ECSClient

#: The history of a fleet is looked at this far back.
RECENT = timedelta(hours=1)
#: Ended tasks that are looked at; one call describes a hundred.
TASKS = 100


def read_evidence(
    clients: Clients, record: RunRecord, config: RunConfig, seen: Observation
) -> Evidence:
    """Nothing where all looks well; two calls for machines, two for containers."""
    fleet = suspect_fleet(record, seen)
    events = None
    if fleet is not None:
        since = max(fleet.requested_at, seen.now - RECENT)
        events = fleet_events(clients.ec2, fleet.fleet_id, since)
    tasks = None
    if suspect_containers(config, seen):
        names = Names.of(config)
        tasks = stopped_tasks(clients.ecs, names.cluster, names.service)
    return Evidence(events=events, tasks=tasks)


def fleet_events(ec2: EC2Client, fleet_id: str, since: datetime) -> tuple[FleetEvent, ...]:
    """What went wrong in a fleet: its first thousand errors, and as much of other information."""
    kinds: tuple[Literal["error", "information"], ...] = ("error", "information")
    return tuple(
        FleetEvent(
            at=entry["Timestamp"],
            type=entry["EventType"],
            subtype=entry["EventInformation"].get("EventSubType", ""),
            text=entry["EventInformation"].get("EventDescription", ""),
        )
        for kind in kinds
        for entry in ec2.describe_spot_fleet_request_history(
            SpotFleetRequestId=fleet_id, EventType=kind, StartTime=since, MaxResults=1000
        )["HistoryRecords"]
    )


def stopped_tasks(ecs: ECSClient, cluster: str, service: str) -> tuple[StoppedTask, ...]:
    """A service's tasks that have ended; ECS remembers them for about an hour."""
    try:
        arns = ecs.list_tasks(
            cluster=cluster, serviceName=service, desiredStatus="STOPPED", maxResults=TASKS
        )["taskArns"]
        found = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    except ClientError as error:
        if is_not_found(error):
            return ()
        raise
    return tuple(
        StoppedTask(
            at=task["stoppedAt"],
            code=task.get("stopCode", ""),
            reason=task.get("stoppedReason", ""),
            container_reason="; ".join(
                reason for c in task.get("containers", []) if (reason := c.get("reason", ""))
            ),
            exit_code=next(
                (c["exitCode"] for c in task.get("containers", []) if "exitCode" in c), None
            ),
        )
        for task in found
        if "stoppedAt" in task
    )
