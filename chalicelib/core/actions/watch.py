"""What shows a run: log groups, dashboard, alarms, and the files that DCP's tools look for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CreateLogGroup:
    name: str
    days: int

    def __str__(self) -> str:
        return f"create log group {self.name}, kept for {self.days} days"


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
