"""What moto's ECS lacks for our use.

It forgets a service's placement constraints, takes every desired task for a running one,
lists what is long gone, ignores the filter of container instances, mixes up clusters whose names contain each other, fails on clusters
without instances, and deletes clusters that are in use. Starting tasks is `local.ecs`' part.
"""

from collections.abc import Callable
from typing import Any

from moto.ecs.exceptions import ECSException
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.models import Service, Task
from moto.ecs.responses import EC2ContainerServiceResponse as Response
from moto.moto_api import state_manager

from local.patching import Patches
from local.placement import satisfies

ACTIVE, DRAINING, INACTIVE = "ACTIVE", "DRAINING", "INACTIVE"
RUNNING, STOPPED = "RUNNING", "STOPPED"


def install(patches: Patches) -> None:
    """Replace what differs."""
    # moto ends a task by itself after it has been described a few times.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 2**62})
    patches.callback(state_manager.unset_transition, "ecs::task")
    patches.replace(Response, "create_service", _create_service_response)
    patches.replace(Backend, "create_service", _create_service)
    patches.replace(Backend, "update_service", _update_service)
    patches.replace(Backend, "delete_service", _delete_service)
    patches.replace(Backend, "list_services", lambda _: _list_services)
    patches.replace(Backend, "list_tasks", lambda _: _list_tasks)
    patches.replace(Response, "list_container_instances", _list_container_instances)
    patches.replace(Backend, "create_cluster", _create_cluster)
    patches.replace(Backend, "delete_cluster", _delete_cluster)
    patches.replace(Backend, "list_clusters", lambda _: _list_clusters)


# --- services --------------------------------------------------------------------------------


def tasks_of(backend: Backend, service: Service) -> list[Task]:
    """The tasks of a service that are meant to run, on machines that are still registered."""
    machines = backend.container_instances.get(service.cluster_name, {})
    return [
        task
        for task in list(backend.tasks.get(service.cluster_name, {}).values())
        if task.group == f"service:{service.name}"
        and task.desired_status == RUNNING
        and (task.container_instance_arn or "").split("/")[-1] in machines
    ]


def _create_service_response(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_service(response: Response) -> Any:
        result = original(response)
        service = result.result["service"]
        service.placement_constraints = response._get_param("placementConstraints", [])
        service.placement_strategy = response._get_param("placementStrategy", [])
        service.deployment_configuration = response._get_param("deploymentConfiguration")
        return result

    return create_service


def _create_service(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_service(
        backend: Backend, cluster: str, name: str, desired: int, *args: Any, **kwargs: Any
    ) -> Service:
        there = backend.services.get(f"{backend._get_cluster(cluster).name}:{name}")
        if there is not None and there.status == ACTIVE:
            text = "Creation of service was not idempotent."
            raise ECSException("InvalidParameterException", text)
        if there is not None and there.status == DRAINING:
            text = "Unable to Start a service that is still Draining."
            raise ECSException("InvalidParameterException", text)
        service: Service = original(backend, cluster, name, desired, *args, **kwargs)
        service.pending_count = 0
        return service

    return create_service


def _update_service(original: Callable[..., Any]) -> Callable[..., Any]:
    def update_service(backend: Backend, properties: dict[str, Any]) -> Service:
        name = properties["service"].split("/")[-1]
        service = backend._get_service(properties.get("cluster", "default"), name)
        if service.status != ACTIVE:
            raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
        original(backend, properties)
        service.running_count = len(tasks_of(backend, service))
        return service

    return update_service


def _delete_service(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_service(backend: Backend, cluster: str, name: str, force: bool) -> Service:
        service: Service = original(backend, cluster, name.split("/")[-1], force)
        service.desired_count = 0
        if tasks_of(backend, service):
            service.status = DRAINING
        return service

    return delete_service


def _list_services(
    backend: Backend,
    cluster_str: str,
    scheduling_strategy: str | None = None,
    launch_type: str | None = None,
) -> list[str]:
    cluster = backend._get_cluster(cluster_str)
    return sorted(
        service.arn
        for service in list(backend.services.values())
        if service.cluster_name == cluster.name
        and service.status != INACTIVE
        and scheduling_strategy in (None, service.scheduling_strategy)
        and launch_type in (None, service.launch_type)
    )


def _list_tasks(
    backend: Backend,
    cluster_str: str | None = None,
    container_instance: str | None = None,
    family: str | None = None,
    started_by: str | None = None,
    service_name: str | None = None,
    desired_status: str | None = None,
) -> list[Task]:
    cluster = backend._get_cluster(cluster_str or "default")
    machine = container_instance.split("/")[-1] if container_instance else None
    group = f"service:{service_name.split('/')[-1]}" if service_name else None

    def matches(task: Task) -> bool:
        return (
            task.desired_status == (desired_status or RUNNING)
            and group in (None, task.group)
            and machine in (None, (task.container_instance_arn or "").split("/")[-1])
            and family in (None, task.task_definition_arn.split("/")[-1].split(":")[0])
            and started_by in (None, "", task.started_by)
        )

    return [task for task in list(backend.tasks.get(cluster.name, {}).values()) if matches(task)]


def _list_container_instances(original: Callable[..., Any]) -> Callable[..., Any]:
    def list_container_instances(response: Response) -> Any:
        result = original(response)
        expression = response._get_param("filter")
        if expression:
            cluster = response._get_param("cluster", "default").split("/")[-1]
            listed = response.ecs_backend.container_instances.get(cluster, {})
            constraint = {"type": "memberOf", "expression": expression}
            result.result["containerInstanceArns"] = [
                arn
                for arn in result.result["containerInstanceArns"]
                if (machine := listed.get(arn.split("/")[-1])) is not None
                and satisfies(machine.attributes, [constraint])
            ]
        return result

    return list_container_instances


# --- clusters --------------------------------------------------------------------------------


def _create_cluster(original: Callable[..., Any]) -> Callable[..., Any]:
    def create_cluster(backend: Backend, cluster_name: str, *args: Any, **kwargs: Any) -> Any:
        there = backend.clusters.get(cluster_name)
        if there is not None and there.status == ACTIVE:
            return there
        cluster = original(backend, cluster_name, *args, **kwargs)
        backend.container_instances.setdefault(cluster.name, {})
        return cluster

    return create_cluster


def _delete_cluster(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_cluster(backend: Backend, cluster_str: str) -> Any:
        name = backend._get_cluster(cluster_str).name
        running = [
            task
            for task in list(backend.tasks.get(name, {}).values())
            if task.desired_status == RUNNING
        ]
        for what, found in (
            ("ContainerInstances", backend.container_instances.get(name)),
            ("Services", _list_services(backend, name)),
            ("Tasks", running),
        ):
            if found:
                text = f"The Cluster cannot be deleted while {what} are active or draining."
                raise ECSException(f"ClusterContains{what}Exception", text)
        return original(backend, cluster_str)

    return delete_cluster


def _list_clusters(backend: Backend) -> list[str]:
    return [cluster.arn for cluster in backend.clusters.values() if cluster.status == ACTIVE]
