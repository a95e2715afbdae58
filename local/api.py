"""The HTTP API on the port of the embedded AWS, below `PREFIX`: what API Gateway does for Chalice.

Requests aren't signed here. The paths of an app's routes are matched, and the Lambda is called
with the event that API Gateway would make of the request.
"""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from chalice.app import Chalice
from chalice.local import LocalChalice

from local.agent import Wsgi

PREFIX = "/cellfleet-local/api"
#: As API Gateway.
SECONDS, MOST_BYTES = 29.0, 10 * 2**20

_REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 413: "Payload Too Large",
    415: "Unsupported Media Type", 422: "Unprocessable Content", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What the Lambda is told about its invocation."""

    deadline: float
    aws_request_id: str
    function_name: str = "cellfleet-local"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class LocalApi:
    """Serves the routes of a Chalice app, once it was given one."""

    def __init__(self) -> None:
        self._app: Chalice | None = None
        self._routes: list[tuple[re.Pattern[str], str]] = []

    def connect(self, app: Chalice) -> None:
        """Serve this app's routes from now on."""
        # Chalice keeps the current request in the app itself; a Lambda has one at a time. This
        # class of Chalice's own keeps one for each thread.
        app.__class__ = LocalChalice
        self._app = app
        # Fixed paths first, as API Gateway prefers them.
        routes = sorted(app.routes, key=lambda route: route.count("{"))
        self._routes = [(_pattern(route), route) for route in routes]

    def in_front_of(self, app: Wsgi) -> Wsgi:
        """`app`, with the API in front of it."""

        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if not environ.get("PATH_INFO", "").startswith(PREFIX + "/"):
                return app(environ, start_response)
            status, headers, body = self._answer(environ)
            reason = _REASONS.get(status, "Unknown")
            start_response(f"{status} {reason}", list(headers.items()))
            return [body]

        return serve

    def _answer(self, environ: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        if size > MOST_BYTES:
            return _gateway(413, "Request Too Long")
        path = _raw_path(environ).removeprefix(PREFIX).rstrip("/") or "/"
        found = self._match(path)
        method = environ["REQUEST_METHOD"]
        if self._app is None or found is None or method not in self._app.routes[found[0]]:
            return _gateway(403, "Missing Authentication Token")
        route, match = found
        variables = {name: unquote(value) for name, value in match.groupdict().items()}
        event = event_of(environ, method, route, variables, body)
        answer = self._app(event, Context(time.monotonic() + SECONDS, str(uuid.uuid4())))
        headers = {"Content-Type": "application/json", **answer["headers"]}
        return answer["statusCode"], headers, answer["body"].encode()

    def _match(self, path: str) -> tuple[str, re.Match[str]] | None:
        for pattern, route in self._routes:
            if match := pattern.fullmatch(path):
                return route, match
        return None


def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", route)
    return re.compile(
        "".join(
            re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/]+)"
            for index, part in enumerate(parts)
        )
    )


def _raw_path(environ: Mapping[str, Any]) -> str:
    """The path as it was sent: an encoded slash is no slash."""
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"])
    return raw.partition("?")[0]


def event_of(
    environ: Mapping[str, Any], method: str, route: str, variables: dict[str, str], body: bytes
) -> dict[str, Any]:
    """What API Gateway makes of a request for a route; `environ` is WSGI's."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return {
        "resource": route,
        "path": environ["PATH_INFO"],
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": variables or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": route,
            "httpMethod": method,
            "path": environ["PATH_INFO"],
            "stage": "local",
            "identity": {"sourceIp": environ.get("REMOTE_ADDR", "")},
        },
        # API Gateway hands on text; what isn't UTF-8 is lost on the way.
        "body": body.decode(errors="replace") if body else None,
        "isBase64Encoded": False,
    }


def _gateway(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    """An answer of API Gateway itself."""
    body = json.dumps({"message": message}).encode()
    return status, {"Content-Type": "application/json"}, body
