"""CloudWatch, its logs, parameters, identities and notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sim.ec2 import from_tags, to_tags
from tests.sim.errors import aws_error
from tests.sim.sqs import ACCOUNT

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass
class Dashboard:
    body: str
    tags: dict[str, str]


class CloudWatch:
    def __init__(self, world: World):
        self._world = world
        self.dashboards: dict[str, Dashboard] = {}
        self.alarms: dict[str, dict[str, str]] = {}

    def put_dashboard(
        self, DashboardName: str, DashboardBody: str, Tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        found = self.dashboards.get(DashboardName)
        # Tags count when a dashboard is made; one that is there keeps its own.
        tags = from_tags(Tags) if found is None else found.tags
        self.dashboards[DashboardName] = Dashboard(DashboardBody, tags)
        return {"DashboardValidationMessages": []}

    def get_dashboard(self, DashboardName: str) -> dict[str, Any]:
        found = self._dashboard(DashboardName)
        return {
            "DashboardName": DashboardName,
            "DashboardArn": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{DashboardName}",
            "DashboardBody": found.body,
        }

    def list_dashboards(self) -> dict[str, Any]:
        return {"DashboardEntries": [{"DashboardName": name} for name in self.dashboards]}

    def list_tags_for_resource(self, ResourceARN: str) -> dict[str, Any]:
        _, _, name = ResourceARN.rpartition("/")
        if ":alarm:" in ResourceARN:
            return {"Tags": to_tags(self.alarms[ResourceARN.rpartition(":")[2]])}
        return {"Tags": to_tags(self._dashboard(name).tags)}

    def delete_dashboards(self, DashboardNames: list[str]) -> dict[str, Any]:
        for name in DashboardNames:
            self._dashboard(name)
        for name in DashboardNames:
            del self.dashboards[name]
        return {}

    def describe_alarms(
        self,
        AlarmNames: list[str] | None = None,
        AlarmNamePrefix: str = "",
        AlarmTypes: list[str] | None = None,
        MaxRecords: int = 50,
        NextToken: str = "",
    ) -> dict[str, Any]:
        # All alarms are described where no name is given: nobody may ask for that.
        assert bool(AlarmNames) != bool(AlarmNamePrefix)
        assert len(AlarmNames or ()) <= 100
        if AlarmNames:
            found = [name for name in AlarmNames if name in self.alarms]
        else:
            found = sorted(name for name in self.alarms if name.startswith(AlarmNamePrefix))
        page, answer = self._world.paged(found, NextToken, MaxRecords, "NextToken")
        alarms = [{"AlarmName": name} for name in page]
        return {"MetricAlarms": alarms, "CompositeAlarms": [], **answer}

    def delete_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        assert 1 <= len(AlarmNames) <= 100
        for name in AlarmNames:
            self.alarms.pop(name, None)
        return {}

    def _dashboard(self, name: str) -> Dashboard:
        if name not in self.dashboards:
            raise aws_error("ResourceNotFound", f"Dashboard {name} does not exist", status=404)
        return self.dashboards[name]


@dataclass
class Export:
    """An export task: where to, and when it is over."""

    task_id: str
    name: str
    group: str
    to: str
    until: float


class Logs:
    """Log groups, and their exports: one at a time in an account."""

    def __init__(self, world: World):
        self._world = world
        self.groups: dict[str, int] = {}
        self.exports: dict[str, Export] = {}

    def describe_log_groups(
        self, logGroupNamePrefix: str, limit: int = 50, nextToken: str = ""
    ) -> dict[str, Any]:
        found = sorted(name for name in self.groups if name.startswith(logGroupNamePrefix))
        page, answer = self._world.paged(found, nextToken, limit, "nextToken")
        groups = [
            {"logGroupName": name, "storedBytes": 1000}
            | ({"retentionInDays": self.groups[name]} if self.groups[name] else {})
            for name in page
        ]
        return {"logGroups": groups, **answer}

    def create_log_group(self, logGroupName: str) -> dict[str, Any]:
        if logGroupName in self.groups:
            raise aws_error(
                "ResourceAlreadyExistsException", "The specified log group already exists"
            )
        self.groups[logGroupName] = 0
        return {}

    def put_retention_policy(self, logGroupName: str, retentionInDays: int) -> dict[str, Any]:
        if logGroupName not in self.groups:
            raise aws_error("ResourceNotFoundException", "The specified log group does not exist.")
        self.groups[logGroupName] = retentionInDays
        return {}

    def filter_log_events(
        self, logGroupName: str, startTime: int, endTime: int, limit: int, nextToken: str = ""
    ) -> dict[str, Any]:
        if logGroupName not in self.groups:
            raise aws_error("ResourceNotFoundException", "The specified log group does not exist.")
        assert startTime < endTime
        return {"events": [{"message": "something", "timestamp": startTime}]}

    def create_export_task(
        self,
        taskName: str,
        logGroupName: str,
        fromTime: int,
        to: int,
        destination: str,
        destinationPrefix: str,
    ) -> dict[str, Any]:
        assert fromTime < to
        now = self._world.time.now
        if any(export.until > now for export in self.exports.values()):
            raise aws_error("LimitExceededException", "Resource limit exceeded.")
        if logGroupName not in self.groups:
            raise aws_error("ResourceNotFoundException", "The specified log group does not exist.")
        task_id = f"export-{len(self.exports)}"
        until = now + self._world.chance.uniform(20, 200)
        where = f"s3://{destination}/{destinationPrefix}"
        self.exports[task_id] = Export(task_id, taskName, logGroupName, where, until)
        return {"taskId": task_id}

    def describe_export_tasks(
        self, taskId: str = "", limit: int = 50, nextToken: str = ""
    ) -> dict[str, Any]:
        found = [e for e in self.exports.values() if taskId in ("", e.task_id)]
        if taskId and not found:
            raise aws_error("ResourceNotFoundException", "The specified export task doesn't exist.")
        page, answer = self._world.paged(found, nextToken, limit, "nextToken")
        now = self._world.time.now
        tasks = [
            {
                "taskId": export.task_id,
                "taskName": export.name,
                "logGroupName": export.group,
                "status": {"code": "RUNNING" if export.until > now else "COMPLETED"},
            }
            for export in page
        ]
        return {"exportTasks": tasks, **answer}


class SNS:
    """Notices, as they were sent."""

    def __init__(self, _world: World):
        self.sent: list[tuple[str, str, str]] = []

    def publish(self, TopicArn: str, Subject: str, Message: str) -> dict[str, Any]:
        assert 1 <= len(Subject) <= 100
        assert Subject.isascii()
        assert "\n" not in Subject
        self.sent.append((TopicArn, Subject, Message))
        return {"MessageId": f"notice-{len(self.sent)}"}


class Tagging:
    """The resource groups tagging API: what carries a tag, of the services that it knows."""

    def __init__(self, world: World):
        self._world = world

    def get_resources(
        self,
        TagFilters: list[dict[str, Any]],
        ResourcesPerPage: int = 100,
        PaginationToken: str = "",
    ) -> dict[str, Any]:
        (wanted,) = TagFilters
        found = [
            {"ResourceARN": arn, "Tags": to_tags(tags)}
            for arn, tags in self._all()
            if tags.get(wanted["Key"]) in wanted["Values"]
        ]
        page, more = self._world.paged(found, PaginationToken, ResourcesPerPage, "PaginationToken")
        return {"ResourceTagMappingList": page, **more}

    def _all(self) -> Iterator[tuple[str, dict[str, str]]]:
        ecs = self._world.ecs
        for queue in self._world.sqs.queues.values():
            yield queue.arn, queue.tags
        for cluster in ecs.clusters.values():
            yield f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/{cluster.name}", _small(cluster.tags)
        for service in ecs.services.values():
            if service.status != "INACTIVE":
                yield service.arn, _small(service.tags)
        for definition in ecs.definitions.values():  # deregistered ones keep their tags
            yield definition.arn, _small(definition.spec["tags"])


def _small(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in tags}


class SSM:
    def __init__(self, _world: World):
        pass

    def get_parameter(self, Name: str) -> dict[str, Any]:
        if not Name.startswith("/aws/service/ecs/optimized-ami/"):
            raise aws_error("ParameterNotFound", Name)
        return {"Parameter": {"Name": Name, "Value": "ami-0e5f6071829304152"}}


class STS:
    def __init__(self, _world: World):
        pass

    def get_caller_identity(self) -> dict[str, Any]:
        return {"Account": ACCOUNT, "UserId": "sim", "Arn": f"arn:aws:iam::{ACCOUNT}:role/sim"}
