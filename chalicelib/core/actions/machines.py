"""Machines: launch template, fleets, instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.run import Fleet


@dataclass(frozen=True, kw_only=True)
class CreateLaunchTemplate:
    name: str
    data: Mapping[str, Any]
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
