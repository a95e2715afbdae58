"""Turns a task of a service into a worker process, with the environment a container would have."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ecs.models import Task

from chalicelib import contract
from local.machines import Container, LocalTask, Machine
from local.placement import Needs

#: All that a worker inherits from the process that started the embedded AWS.
INHERITED = ("PATH", "HOME", "JAVA_HOME", "LD_LIBRARY_PATH", contract.ENV_CELLPROFILER)

#: ECS's default for a container without `stopTimeout`, in seconds.
_STOP_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """How workers are started: `command` in the folder `project`.

    `environment` is what every worker gets on top of its task definition's: endpoint and
    credentials. `agent` is the address of the task endpoint, to which a task's id is added.
    """

    command: Sequence[str]
    project: Path
    folder: Path
    environment: Mapping[str, str]
    agent: str
    longest_stop: float

    def start(
        self, backend: Any, service: Any, machine: Machine, definition: Any, now: float
    ) -> LocalTask:
        """Start one task of `service` on `machine` and enter it in moto's list.

        Raises OSError if the process can't be started.
        """
        cluster = backend.clusters[service.cluster_name]
        task = Task(
            cluster,
            definition,
            machine.registered.container_instance_arn,
            backend._calculate_task_resource_requirements(definition),
            backend=backend,
            group=f"service:{service.name}",
            launch_type="EC2",
            started_by=service.deployments[0]["id"] if service.deployments else "",
        )
        spec = definition.container_definitions[0]
        folder = self.folder / "tasks" / task.id
        (folder / "tmp").mkdir(parents=True)
        (folder / "root").mkdir()
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        container = Container(
            self.command,
            folder=self.project,
            environment=self._environment(spec, machine, task.id, folder),
            log=logs / f"{task.id}.log",
        )
        task.created_at = task.started_at = datetime.now(UTC)  # type: ignore[attr-defined]
        task.containers[0].last_status = "RUNNING"
        backend.tasks.setdefault(cluster.name, {})[task.task_arn] = task
        options = (spec.get("logConfiguration") or {}).get("options") or {}
        prefix = options.get("awslogs-stream-prefix")
        return LocalTask(
            task=task,
            service=service.arn,
            container=container,
            folder=folder,
            needs=needs_of(definition),
            stop_seconds=min(float(spec.get("stopTimeout") or _STOP_SECONDS), self.longest_stop),
            started=now,
            log_group=options.get("awslogs-group", ""),
            log_stream=f"{prefix}/{spec['name']}/{task.id}" if prefix else str(task.id),
        )

    def _environment(
        self, spec: Mapping[str, Any], machine: Machine, task: str, folder: Path
    ) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        defined = {pair["name"]: pair["value"] for pair in spec.get("environment") or ()}
        return {
            **inherited,
            "LANG": "C.UTF-8",
            "TMPDIR": str(folder / "tmp"),
            "AWS_DEFAULT_REGION": machine.region,
            **defined,
            **self.environment,
            contract.ENV_ROOT: str(folder / "root"),
            contract.ENV_HOST_DIR: str(machine.host_folder),
            "ECS_AGENT_URI": f"{self.agent}/{task}",
        }


def needs_of(definition: Any) -> Needs:
    """What a task of this definition reserves on its machine."""
    containers = definition.container_definitions
    return Needs(
        cpu=sum(int(spec.get("cpu") or 0) for spec in containers),
        memory=sum(
            int(spec.get("memory") or spec.get("memoryReservation") or 0) for spec in containers
        ),
    )


def size_of(instance_type: str) -> Needs:
    """What an instance type registers with ECS: all cores, and most of the memory."""
    facts = INSTANCE_TYPES[instance_type]
    # Kernel and agent keep about four per cent of the memory for themselves.
    memory = int(facts["MemoryInfo"]["SizeInMiB"] * 0.96)
    return Needs(cpu=facts["VCpuInfo"]["DefaultVCpus"] * 1024, memory=memory)
