"""The ECS agent's endpoint for tasks, as far as workers use it: task scale-in protection.

Stands in front of moto on the same port. A worker finds it in `ECS_AGENT_URI` and calls
`GET` or `PUT {ECS_AGENT_URI}/task-protection/v1/state`.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

PREFIX = "/cellfleet-local/agent"
_STATE = "/task-protection/v1/state"
_DEFAULT_MINUTES, _MOST_MINUTES = 120, 2880

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Protector(Protocol):
    """Who knows the tasks: the ECS stand-in."""

    def protect(self, task: str, minutes: float) -> str | None:
        """Protect a task, or with 0 minutes stop protecting it. Its ARN, None if unknown."""
        ...

    def protected_minutes(self, task: str) -> tuple[str, float] | None:
        """A task's ARN and for how long it is still protected; None if unknown."""
        ...


def with_agent(app: Wsgi, protector: Protector) -> Wsgi:
    """`app`, with the agent's endpoint in front of it."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX + "/"):
            return app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        task, _, rest = path.removeprefix(PREFIX + "/").partition("/")
        status, answer = _answer(protector, environ["REQUEST_METHOD"], task, "/" + rest, body)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    return serve


def _answer(
    protector: Protector, method: str, task: str, path: str, body: bytes
) -> tuple[str, dict[str, Any]]:
    if path != _STATE or method not in ("GET", "PUT"):
        return _failure("404 Not Found", "ResourceNotFoundException", f"{method} {path}")
    if method == "PUT":
        minutes = _wanted_minutes(body)
        if minutes is None:
            expected = 'expected {"ProtectionEnabled": bool, "ExpiresInMinutes": 1 to 2880}'
            return _failure("400 Bad Request", "InvalidParameterException", expected)
        protector.protect(task, minutes)
    found = protector.protected_minutes(task)
    if found is None:
        return _failure("404 Not Found", "ResourceNotFoundException", f"no task {task}")
    arn, left = found
    state: dict[str, Any] = {"ProtectionEnabled": left > 0, "TaskArn": arn}
    if left > 0:
        until = datetime.now(UTC) + timedelta(minutes=left)
        state["ExpirationDate"] = until.isoformat(timespec="seconds").replace("+00:00", "Z")
    return "200 OK", {"protection": state}


def _wanted_minutes(body: bytes) -> float | None:
    try:
        data = json.loads(body)
        enabled = data["ProtectionEnabled"]
        minutes = data.get("ExpiresInMinutes", _DEFAULT_MINUTES)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(enabled, bool) or not isinstance(minutes, int):
        return None
    if not enabled:
        return 0
    return minutes if 1 <= minutes <= _MOST_MINUTES else None


def _failure(status: str, code: str, message: str) -> tuple[str, dict[str, Any]]:
    return status, {"error": {"Code": code, "Message": message}}
