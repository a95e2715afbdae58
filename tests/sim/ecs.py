"""ECS as the control plane calls it: clusters, task definitions, services, machines' agents.

How containers are placed, restarted and stopped is in `scheduler`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.sim.ec2 import Machine
from tests.sim.errors import aws_error
from tests.sim.scheduler import Scheduler
from tests.sim.sqs import ACCOUNT
from tests.sim.worker import Task

if TYPE_CHECKING:
    from tests.sim.world import World

ARN = f"arn:aws:ecs:us-east-1:{ACCOUNT}"
Tags = list[dict[str, str]]


@dataclass
class Cluster:
    name: str
    tags: Tags
    status: str = "ACTIVE"


@dataclass
class TaskDefinition:
    arn: str
    spec: dict[str, Any]
    registered: datetime
    status: str = "ACTIVE"


@dataclass
class Service:
    arn: str
    cluster: str
    name: str
    desired: int
    task_definition: str
    constraints: list[dict[str, Any]]
    tags: Tags
    status: str = "ACTIVE"
    events: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def attribute(self) -> tuple[str, str] | None:
        """The machines' attribute that its containers need."""
        for constraint in self.constraints:
            match = re.fullmatch(r"attribute:(\S+) == (\S+)", constraint["expression"])
            assert match, constraint
            return match[1], match[2]
        return None


@dataclass
class Host:
    """A container instance: the agent of one machine, in one cluster."""

    arn: str
    cluster: str
    machine: Machine
    attributes: dict[str, str]
    registered: datetime
    status: str = "ACTIVE"
    connected: bool = True


class ECS:
    def __init__(self, world: World):
        self._world = world
        self.clusters: dict[str, Cluster] = {"default": Cluster("default", [])}
        self.definitions: dict[str, TaskDefinition] = {}
        self.services: dict[tuple[str, str], Service] = {}
        self.hosts: dict[str, Host] = {}
        self.tasks: list[Task] = []
        self._revisions: dict[str, int] = {}
        self.scheduler = Scheduler(world, self)

    # --- machines --------------------------------------------------------------------------------

    def register(self, machine: Machine) -> None:
        """The agent of a machine that has booted finds its cluster, or tries again later."""
        if machine.state != "running":
            return
        found = re.search(r"^ECS_CLUSTER=(\S+)$", machine.user_data, re.M)
        cluster = found[1] if found else "default"
        if cluster not in self.clusters or self.clusters[cluster].status != "ACTIVE":
            self._world.time.after(30, lambda: self.register(machine))
            return
        given = re.search(r"^ECS_INSTANCE_ATTRIBUTES=(\{.*\})$", machine.user_data, re.M)
        attributes = dict(re.findall(r'"([^"]+)":\s*"([^"]*)"', given[1])) if given else {}
        arn = f"{ARN}:container-instance/{cluster}/{machine.instance_id}"
        self.hosts[arn] = Host(arn, cluster, machine, attributes, self._world.time.moment())

    def host_of(self, machine: Machine) -> Host | None:
        return next((h for h in self.hosts.values() if h.machine is machine), None)

    def machine_ends(self, machine: Machine) -> None:
        """Its containers die with it; ECS notices a little later."""
        host = self.host_of(machine)
        for task in [t for t in self.tasks if t.machine is machine]:
            task.kill(f"Host EC2 (instance {machine.instance_id}) terminated.", None)
        if host is None:
            return
        host.connected = False
        delay = self._world.chance.uniform(10, self._world.laws.deregister)
        self._world.time.after(delay, lambda: self.hosts.pop(host.arn, None))

    # --- clusters --------------------------------------------------------------------------------

    def create_cluster(self, clusterName: str, tags: Tags) -> dict[str, Any]:
        found = self.clusters.get(clusterName)
        if found is None or found.status != "ACTIVE":
            self.clusters[clusterName] = Cluster(clusterName, list(tags))
        return {"cluster": self._cluster(self.clusters[clusterName])}

    def describe_clusters(
        self, clusters: list[str], include: list[str] | None = None
    ) -> dict[str, Any]:
        assert include in (None, ["TAGS"])
        found = [self.clusters[name] for name in clusters if name in self.clusters]
        missing = [name for name in clusters if name not in self.clusters]
        return {
            "clusters": [self._cluster(cluster) for cluster in found],
            "failures": [{"arn": name, "reason": "MISSING"} for name in missing],
        }

    def delete_cluster(self, cluster: str) -> dict[str, Any]:
        found = self._active(cluster)
        described = self._cluster(found)
        for count, code in (
            ("activeServicesCount", "ClusterContainsServicesException"),
            ("registeredContainerInstancesCount", "ClusterContainsContainerInstancesException"),
            ("runningTasksCount", "ClusterContainsTasksException"),
        ):
            if described[count]:
                raise aws_error(code, f"The cluster {cluster} is in use")
        found.status = "INACTIVE"
        return {"cluster": self._cluster(found)}

    def _cluster(self, cluster: Cluster) -> dict[str, Any]:
        tasks = [task for task in self.tasks if task.cluster == cluster.name]
        return {
            "clusterName": cluster.name,
            "clusterArn": f"{ARN}:cluster/{cluster.name}",
            "status": cluster.status,
            "activeServicesCount": sum(
                s.cluster == cluster.name and s.status != "INACTIVE" for s in self.services.values()
            ),
            "registeredContainerInstancesCount": sum(
                host.cluster == cluster.name for host in self.hosts.values()
            ),
            "runningTasksCount": sum(task.status == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task.status == "PENDING" for task in tasks),
            "tags": list(cluster.tags),
        }

    def _active(self, name: str) -> Cluster:
        found = self.clusters.get(name)
        if found is None or found.status != "ACTIVE":
            raise aws_error("ClusterNotFoundException", "Cluster not found.")
        return found

    # --- task definitions ------------------------------------------------------------------------

    def register_task_definition(
        self,
        family: str,
        requiresCompatibilities: list[str],
        containerDefinitions: list[dict[str, Any]],
        tags: Tags,
        volumes: list[dict[str, Any]] | None = None,
        taskRoleArn: str = "",
        executionRoleArn: str = "",
    ) -> dict[str, Any]:
        self._revisions[family] = self._revisions.get(family, 0) + 1
        arn = f"{ARN}:task-definition/{family}:{self._revisions[family]}"
        spec = {"family": family, "containerDefinitions": containerDefinitions, "tags": tags}
        self.definitions[arn] = TaskDefinition(arn, spec, self._world.time.moment())
        return {"taskDefinition": {"taskDefinitionArn": arn, "family": family}}

    def deregister_task_definition(self, taskDefinition: str) -> dict[str, Any]:
        found = self._definition(taskDefinition)
        found.status = "INACTIVE"
        return {"taskDefinition": {"taskDefinitionArn": found.arn, "status": found.status}}

    def describe_task_definition(
        self, taskDefinition: str, include: list[str] | None = None
    ) -> dict[str, Any]:
        found = self._definition(taskDefinition)
        return {
            "taskDefinition": {
                "taskDefinitionArn": found.arn,
                "status": found.status,
                "registeredAt": found.registered,
            },
            "tags": list(found.spec["tags"]),
        }

    def list_task_definitions(
        self,
        familyPrefix: str,
        status: str = "ACTIVE",
        sort: str = "ASC",
        maxResults: int = 100,
        nextToken: str = "",
    ) -> dict[str, Any]:
        # AWS takes the whole family name, whatever the argument is called.
        arns = [
            d.arn
            for d in self.definitions.values()
            if d.spec["family"] == familyPrefix and d.status == status
        ]
        arns.sort(key=lambda arn: int(arn.rpartition(":")[2]), reverse=sort == "DESC")
        page, answer = self._world.paged(arns, nextToken, maxResults, "nextToken")
        return {"taskDefinitionArns": page, **answer}

    def _definition(self, arn: str) -> TaskDefinition:
        if arn not in self.definitions:
            raise aws_error("ClientException", "Unable to describe task definition.")
        return self.definitions[arn]

    # --- services --------------------------------------------------------------------------------

    def create_service(
        self,
        cluster: str,
        serviceName: str,
        taskDefinition: str,
        desiredCount: int,
        launchType: str,
        schedulingStrategy: str,
        availabilityZoneRebalancing: str,
        deploymentConfiguration: dict[str, int],
        placementConstraints: list[dict[str, Any]],
        placementStrategy: list[dict[str, Any]],
        tags: Tags,
        propagateTags: str,
    ) -> dict[str, Any]:
        self._active(cluster)
        found = self.services.get((cluster, serviceName))
        if found is not None and found.status == "ACTIVE":
            raise aws_error("InvalidParameterException", "Creation of service was not idempotent.")
        if found is not None and found.status == "DRAINING":
            raise aws_error(
                "InvalidParameterException", "Unable to Start a service that is still Draining."
            )
        if self._definition(taskDefinition).status != "ACTIVE":
            raise aws_error("ClientException", "TaskDefinition is inactive")
        made = Service(
            f"{ARN}:service/{cluster}/{serviceName}",
            cluster,
            serviceName,
            desiredCount,
            taskDefinition,
            list(placementConstraints),
            list(tags),
        )
        self.services[cluster, serviceName] = made
        return {"service": self._service(made)}

    def list_services(self, cluster: str) -> dict[str, Any]:
        here = [s.arn for s in self.services.values() if s.cluster == cluster]
        return {"serviceArns": here[:10]}

    def describe_services(
        self, cluster: str, services: list[str], include: list[str] | None = None
    ) -> dict[str, Any]:
        self._active(cluster)
        found = [self.services[cluster, n] for n in services if (cluster, n) in self.services]
        return {"services": [self._service(service) for service in found], "failures": []}

    def update_service(
        self,
        cluster: str,
        service: str,
        desiredCount: int | None = None,
        taskDefinition: str = "",
        placementConstraints: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        found = self._live_service(cluster, service)
        if found.status != "ACTIVE":
            raise aws_error("ServiceNotActiveException", "Service was not ACTIVE.")
        if desiredCount is not None:
            found.desired = desiredCount
        if taskDefinition:
            found.task_definition = taskDefinition
        if placementConstraints is not None:
            found.constraints = list(placementConstraints)
        return {"service": self._service(found)}

    def delete_service(self, cluster: str, service: str, force: bool) -> dict[str, Any]:
        found = self._live_service(cluster, service)
        if found.status == "INACTIVE":
            raise aws_error("ServiceNotActiveException", "Service was not ACTIVE.")
        if found.desired and not force:
            raise aws_error(
                "InvalidParameterException", "The service can't be stopped while scaled"
            )
        found.status, found.desired = "DRAINING", 0
        self.scheduler.leave(found)
        return {"service": self._service(found)}

    def tag_resource(self, resourceArn: str, tags: Tags) -> dict[str, Any]:
        for service in self.services.values():
            if service.arn == resourceArn:
                keys = {tag["key"] for tag in tags}
                service.tags = [t for t in service.tags if t["key"] not in keys] + list(tags)
                return {}
        raise aws_error("InvalidParameterException", "The specified resource does not exist")

    def _live_service(self, cluster: str, name: str) -> Service:
        self._active(cluster)
        if (cluster, name) not in self.services:
            raise aws_error("ServiceNotFoundException", "Service not found.")
        return self.services[cluster, name]

    def _service(self, service: Service) -> dict[str, Any]:
        tasks = [task for task in self.tasks if task.service is service]
        return {
            "serviceArn": service.arn,
            "serviceName": service.name,
            "status": service.status,
            "desiredCount": service.desired,
            "runningCount": sum(task.status == "RUNNING" for task in tasks),
            "pendingCount": sum(task.status == "PENDING" for task in tasks),
            "taskDefinition": service.task_definition,
            "events": [
                {"id": str(n), "createdAt": when, "message": text}
                for n, (when, text) in enumerate(reversed(service.events[-10:]))
            ],
            "tags": list(service.tags),
        }

    # --- container instances and tasks -----------------------------------------------------------

    def list_container_instances(
        self,
        cluster: str,
        filter: str = "",
        status: str = "",
        maxResults: int = 100,
        nextToken: str = "",
    ) -> dict[str, Any]:
        self._active(cluster)
        match = re.fullmatch(r"attribute:(\S+) == (\S+)", filter) if filter else None
        assert match or not filter, filter
        found = [
            host.arn
            for host in self.hosts.values()
            if host.cluster == cluster
            and (match is None or host.attributes.get(match[1]) == match[2])
            and status in ("", host.status)
        ]
        page, answer = self._world.paged(found, nextToken, maxResults, "nextToken")
        return {"containerInstanceArns": page, **answer}

    def describe_container_instances(
        self, cluster: str, containerInstances: list[str]
    ) -> dict[str, Any]:
        assert 1 <= len(containerInstances) <= 100
        self._active(cluster)
        found = [self.hosts[arn] for arn in containerInstances if arn in self.hosts]
        return {"containerInstances": [self._host(host) for host in found], "failures": []}

    def update_container_instances_state(
        self, cluster: str, containerInstances: list[str], status: str
    ) -> dict[str, Any]:
        assert 1 <= len(containerInstances) <= 10
        assert status in ("ACTIVE", "DRAINING")
        self._active(cluster)
        failures = []
        for arn in containerInstances:
            if arn in self.hosts:
                self.hosts[arn].status = status
            else:
                failures.append({"arn": arn, "reason": "MISSING"})
        found = [self.hosts[arn] for arn in containerInstances if arn in self.hosts]
        return {"containerInstances": [self._host(h) for h in found], "failures": failures}

    def deregister_container_instance(
        self, cluster: str, containerInstance: str, force: bool
    ) -> dict[str, Any]:
        self._active(cluster)
        host = self.hosts.get(containerInstance)
        if host is None:
            raise aws_error("InvalidParameterException", "Referenced container instance not found")
        if not force and any(task.host is host for task in self.tasks):
            raise aws_error("InvalidParameterException", "Found running tasks on the instance")
        del self.hosts[containerInstance]
        for task in [t for t in self.tasks if t.host is host]:
            task.kill("deregistered")
        return {"containerInstance": {"containerInstanceArn": host.arn, "status": "INACTIVE"}}

    def _host(self, host: Host) -> dict[str, Any]:
        tasks = [task for task in self.tasks if task.host is host]
        return {
            "containerInstanceArn": host.arn,
            "ec2InstanceId": host.machine.instance_id,
            "status": host.status,
            "agentConnected": host.connected,
            "runningTasksCount": sum(task.status == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task.status == "PENDING" for task in tasks),
            "registeredAt": host.registered,
            "attributes": [{"name": k, "value": v} for k, v in host.attributes.items()],
        }

    def list_tasks(
        self,
        cluster: str,
        serviceName: str = "",
        containerInstance: str = "",
        desiredStatus: str = "RUNNING",
        maxResults: int = 100,
        nextToken: str = "",
    ) -> dict[str, Any]:
        self._active(cluster)
        pool = self.tasks if desiredStatus == "RUNNING" else self.scheduler.stopped
        found = [
            task.arn
            for task in pool
            if task.cluster == cluster
            and serviceName in ("", task.service.name)
            and containerInstance in ("", task.host.arn)
        ]
        page, answer = self._world.paged(found, nextToken, maxResults, "nextToken")
        return {"taskArns": page, **answer}

    def describe_tasks(
        self, cluster: str, tasks: list[str], include: list[str] | None = None
    ) -> dict[str, Any]:
        assert 1 <= len(tasks) <= 100
        self._active(cluster)
        known = {task.arn: task for task in (*self.tasks, *self.scheduler.stopped)}
        return {"tasks": [known[arn].described() for arn in tasks if arn in known], "failures": []}
