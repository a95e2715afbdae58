"""Apps and runs, reached over the HTTP API: its address, and the right to call it, are enough."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from chalicelib.aws.signing import signed
from chalicelib.core.api.answers import (
    FailuresAnswer,
    RedriveAnswer,
    RunAnswer,
    RunsAnswer,
    SubmissionAnswer,
    UploadAnswer,
)
from chalicelib.core.api.request import IDEMPOTENCY_KEY, MOST_JOB_FILE_BYTES
from chalicelib.errors import CellFleetError, InputError, Problem

#: API Gateway gives up after 29 seconds.
_SECONDS = 35
#: What comes from the way to the API, or from its lack of time: the same request may go again.
_AGAIN = (502, 503, 504)
_TRIES = 3

Model = TypeVar("Model", bound=BaseModel)


class ApiError(CellFleetError):
    """The API refused a request, or can't be reached."""


@dataclass(frozen=True)
class Remote:
    """The API at an address such as `https://….execute-api.us-east-1.amazonaws.com/api`."""

    url: str

    def runs(self, *, app: str, live: bool, limit: int, after: str | None) -> RunsAnswer:
        query = {"app": app, "live": str(live).lower(), "limit": limit, "after": after}
        return self._ask(RunsAnswer, "GET", "/runs", query=query)

    def latest(self, app: str) -> str:
        """The id of the app's latest run; "" if it never had one."""
        found, after = "", None
        while True:
            page = self.runs(app=app, live=False, limit=100, after=after)
            found = page.runs[-1].run if page.runs else found
            after = page.next
            if after is None:
                return found

    def show(self, run: str) -> RunAnswer:
        return self._ask(RunAnswer, "GET", f"/runs/{run}")

    def failures(
        self, run: str, *, outcome: str | None, limit: int, after: str | None
    ) -> FailuresAnswer:
        query = {"outcome": outcome, "limit": limit, "after": after}
        return self._ask(FailuresAnswer, "GET", f"/runs/{run}/failures", query=query)

    def scale(self, app: str, machines: int | None) -> RunAnswer:
        return self._ask(RunAnswer, "POST", f"/apps/{app}/scale", {"machines": machines})

    def redrive(
        self, run: str, *, jobs: Sequence[str] | None, causes: Sequence[str] | None
    ) -> RedriveAnswer:
        body = {"jobs": jobs, "causes": causes}
        return self._ask(RedriveAnswer, "POST", f"/runs/{run}/redrive", body)

    def set_up(self, app: str, path: Path, *, adopt: bool) -> RunAnswer:
        """With a configuration file, whatever its form."""
        form = path.suffix.removeprefix(".").lower()
        body = {"source": path.read_text(encoding="utf-8"), "form": form, "adopt": adopt}
        return self._ask(RunAnswer, "POST", f"/apps/{app}/setup", body)

    def submit(self, app: str, path: Path) -> SubmissionAnswer | UploadAnswer:
        """Send a job file; one that is too large for a request is uploaded, and then starts its
        machines by itself."""
        name = "".join(c if c.isalnum() and c.isascii() else "-" for c in path.stem).strip("-")
        name = name[:100] or "job"
        if path.stat().st_size > MOST_JOB_FILE_BYTES:
            offered = self._ask(UploadAnswer, "POST", f"/apps/{app}/uploads", {"name": name})
            _put(path, offered)
            return offered
        query = {"name": name, "start": "false"}
        return self._ask(
            SubmissionAnswer, "POST", f"/apps/{app}/jobs", path.read_bytes(), query=query
        )

    def start(self, app: str, fleet: Mapping[str, Any] | None) -> RunAnswer:
        return self._ask(RunAnswer, "POST", f"/apps/{app}/start", {"fleet": fleet})

    def stop(self, app: str) -> RunAnswer:
        return self._ask(RunAnswer, "POST", f"/apps/{app}/stop")

    def _ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Model:
        """One request, made again where that may help: its key makes it happen once."""
        asked = urlencode({key: value for key, value in (query or {}).items() if value})
        url = f"{self.url.rstrip('/')}{path}" + (f"?{asked}" if asked else "")
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        headers = {"Content-Type": "application/json"}
        if method == "POST":
            headers[IDEMPOTENCY_KEY] = uuid.uuid4().hex
        for left in reversed(range(_TRIES)):
            status, answer = self._send(method, url, data, headers)
            if status < 400:
                return model.model_validate(answer)
            if status not in _AGAIN or not left:
                raise _error(url, status, answer)
        raise AssertionError("unreachable")

    def _send(
        self, method: str, url: str, data: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        named = url.partition(".execute-api.")[2].partition(".")[0]
        sent = signed(method, url, data, headers, region=named or region or "us-east-1")
        request = urllib.request.Request(url, data or None, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, _json(refused.read())
        except OSError as error:
            raise ApiError(f"{url} can't be reached: {error}") from error


def _put(path: Path, offered: UploadAnswer) -> None:
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(path.stat().st_size),
    }
    with path.open("rb") as stream:
        put = urllib.request.Request(offered.url, stream, headers, method=offered.method)
        try:
            with urllib.request.urlopen(put) as answer:
                answer.read()
        except OSError as error:
            raise ApiError(f"{path} can't be uploaded: {error}") from error


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"message": text.decode(errors="replace")[:500]}


def _error(url: str, status: int, answer: Any) -> CellFleetError:
    """What the API said, as the same error that would have been raised here."""
    problems = answer.get("problems") or ()
    if problems:
        told = [Problem(**problem) for problem in problems]
        return InputError("request", told, total=answer["problems_in_all"])
    message = answer.get("message", "")
    if status == 403:
        message += (
            f" (403 from {url}: is the address right, and may you call it? It takes the "
            "permission execute-api:Invoke)"
        )
    return ApiError(message or f"{url} answered {status}")
