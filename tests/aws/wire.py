"""The wire between boto3 and the emulator: counts what passes, and can be cut.

Faults are made here, at the network's edge, so that the code under test and boto3 itself run
unchanged.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

REFUSED = json.dumps({"__type": "AccessDeniedException", "message": "the wire is cut"}).encode()


class Wire:
    """WSGI middleware. `requests` counts those that reached the emulator.

    `cut_after(n)`: the n-th request from now on, and all after it, are refused unheard, as if
    the process had died there. `lose_answer(n)`: the n-th request takes effect, but its answer
    is an error. `refuse(operation, code, message)`: that operation alone is answered with this
    error. `answer(operation, body)`: it is answered with this body. `mend()` makes all well.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.seen: list[str] = []
        self._lock = threading.Lock()
        self._cut: int | None = None
        self._lose: int | None = None
        self._cut_at: tuple[str, int] | None = None
        self._refused: dict[str, bytes] = {}
        self._answers: dict[str, bytes] = {}

    def wrap(self, app: Wsgi) -> Wsgi:
        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            with self._lock:
                self.requests += 1
                self.seen.append(_name(environ))
                self._watch_for(self.seen[-1])
                cut = self._cut is not None and self.requests > self._cut
                lose = self._lose is not None and self.requests == self._lose
            refused = self._refused.get(_name(environ))
            answer = self._answers.get(_name(environ))
            if answer is not None and not cut:
                return _reply(environ, start_response, "200 OK", answer)
            if cut or refused is not None:
                return _refuse(environ, start_response, refused or REFUSED)
            if lose:
                list(app(environ, lambda *_args, **_kwargs: lambda _data: None))
                return _refuse(environ, start_response)
            return app(environ, start_response)

        return serve

    def _watch_for(self, operation: str) -> None:
        if self._cut_at is None or self._cut_at[0] != operation:
            return
        times = self._cut_at[1] - 1
        self._cut_at = (operation, times) if times else None
        if not times:
            self._cut = self.requests - 1

    def cut_after(self, requests: int) -> None:
        with self._lock:
            self._cut = self.requests + requests

    def cut_at(self, operation: str, times: int = 1) -> None:
        """Cut from the given request of one operation on (`AmazonSQS.SendMessageBatch`)."""
        with self._lock:
            self._cut_at = (operation, times)

    def lose_answer(self, request: int) -> None:
        with self._lock:
            self._lose = self.requests + request

    def refuse(self, operation: str, code: str, message: str) -> None:
        """Answer one operation (`Logs_20140328.CreateExportTask`) with an error, until mended."""
        with self._lock:
            self._refused[operation] = json.dumps({"__type": code, "message": message}).encode()

    @property
    def is_cut(self) -> bool:
        """Whether a request was refused since it was mended last."""
        with self._lock:
            return self._cut is not None and self.requests > self._cut

    def answer(self, operation: str, body: dict[str, Any]) -> None:
        """Answer one operation with this, unheard, until mended."""
        with self._lock:
            self._answers[operation] = json.dumps(body).encode()

    def mend(self) -> None:
        with self._lock:
            self._refused, self._answers = {}, {}
            self._cut = self._lose = self._cut_at = None


def _name(environ: dict[str, Any]) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET")
    return str(target or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")


def _refuse(
    environ: dict[str, Any], start_response: Callable[..., Any], body: bytes = REFUSED
) -> Iterable[bytes]:
    return _reply(environ, start_response, "403 Forbidden", body)


def _reply(
    environ: dict[str, Any], start_response: Callable[..., Any], status: str, body: bytes
) -> Iterable[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"].read(length)
    start_response(
        status,
        [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))],
    )
    return [body]
