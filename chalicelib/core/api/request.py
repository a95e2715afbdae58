"""A request and its answer, as the API's endpoints see them: no framework, no AWS."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

#: Of every body but a job file's, in bytes: a configuration and a fleet file have some 20 kB. The
#: longest configuration that is read fits, however its characters are written.
MOST_BYTES = 512 * 1024
#: Of a job file in a request's body. Lambda takes 6 MB, in which each quote of a body counts
#: twice; this leaves room for that.
MOST_JOB_FILE_BYTES = 4 * 2**20

IDEMPOTENCY_KEY = "idempotency-key"


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """What came in: nothing of it is checked yet. Header names are in lower case."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The same, checked against its route. `query` and `body` are the route's models."""

    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    raw: bytes = b""
    #: The request's idempotency key, "" for none, and a fingerprint of the whole request.
    key: str = ""
    fingerprint: str = ""

    @property
    def token(self) -> str:
        """A name for what this request makes, the same whenever it comes again; "" without key."""
        if not self.key:
            return ""
        return hashlib.sha256(f"{self.key}\n{self.fingerprint}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes out: a status and a JSON object."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: BaseModel, status: int = 200) -> Answer:
        """An answer with a model as its body."""
        return cls(status=status, body=model.model_dump(mode="json"))
