"""Writes what the stand-in did into moto's objects, where the API calls read it."""

import uuid
from datetime import UTC, datetime
from typing import Any

from local import moto_ecs
from local.machines import Machine

_EVENTS_KEPT = 100


def write(ecs: Any, machines: list[Machine]) -> None:
    """The counts of a region's services, container instances and clusters.

    `machines`: those that are registered.
    """
    for machine in machines:
        machine.registered.running_tasks_count = len(machine.tasks)
        free = {"CPU": machine.free.cpu, "MEMORY": machine.free.memory}
        size = {"CPU": machine.size.cpu, "MEMORY": machine.size.memory}
        for resource in machine.registered.remaining_resources:
            resource["integerValue"] = free.get(resource["name"], resource["integerValue"])
        for resource in machine.registered.registered_resources:
            resource["integerValue"] = size.get(resource["name"], resource["integerValue"])
    for service in list(ecs.services.values()):
        _write_service(service, len(moto_ecs.tasks_of(ecs, service)))
    for cluster in list(ecs.clusters.values()):
        here = ecs.container_instances.setdefault(cluster.name, {})
        cluster.registered_container_instances_count = len(here)
        cluster.running_tasks_count = sum(item.running_tasks_count for item in here.values())
        cluster.pending_tasks_count = 0
        cluster.active_services_count = sum(
            service.cluster_name == cluster.name and service.status == moto_ecs.ACTIVE
            for service in list(ecs.services.values())
        )


def _write_service(service: Any, running: int) -> None:
    service.running_count = running
    service.pending_count = 0
    for deployment in service.deployments[:1]:
        complete = running == service.desired_count
        deployment["desiredCount"] = service.desired_count
        deployment["runningCount"] = running
        deployment["pendingCount"] = 0
        deployment["rolloutState"] = "COMPLETED" if complete else "IN_PROGRESS"


def tell(service: Any, text: str) -> None:
    """Add a service event, newest first, unless it repeats the last one."""
    message = f"(service {service.name}) {text}"
    if service.events and service.events[0]["message"] == message:
        return
    event = {"id": str(uuid.uuid4()), "createdAt": datetime.now(UTC), "message": message}
    service.events.insert(0, event)
    del service.events[_EVENTS_KEPT:]
