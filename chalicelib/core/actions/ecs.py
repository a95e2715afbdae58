"""ECS: cluster, task definition, service, container instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    spec: Mapping[str, Any]
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
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return f"create service {self.spec['serviceName']}"


@dataclass(frozen=True, kw_only=True)
class UpdateService:
    cluster: str
    service: str
    desired: int | None = None
    task_definition: str = ""
    constraints: tuple[Mapping[str, Any], ...] = ()

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
