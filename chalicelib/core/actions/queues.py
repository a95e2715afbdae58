"""Queues: create, update, purge, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CreateQueue:
    name: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"create queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class UpdateQueue:
    name: str
    url: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]

    def __str__(self) -> str:
        changes = ", ".join(sorted(self.attributes)) or "tags"
        return f"update {changes} of queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class DeleteQueue:
    name: str
    url: str

    def __str__(self) -> str:
        return f"delete queue {self.name}"


@dataclass(frozen=True, kw_only=True)
class PurgeQueue:
    """Messages in flight go too: who works on one can't renew its lease, and publishes nothing."""

    name: str
    url: str

    def __str__(self) -> str:
        return f"purge queue {self.name}"
