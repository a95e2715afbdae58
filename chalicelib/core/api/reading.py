"""A request checked against its route: everything that is wrong with it, or models."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from chalicelib.core.api.names import check_names
from chalicelib.core.api.request import (
    IDEMPOTENCY_KEY,
    MOST_BYTES,
    MOST_JOB_FILE_BYTES,
    ApiRequest,
    Checked,
)
from chalicelib.core.api.routes import Route
from chalicelib.core.api.strict_json import BODY, check_size, read_json
from chalicelib.core.jobfile_problems import shorten, show
from chalicelib.errors import InputError, Problem

_MOST_PROBLEMS = 100
_KEY = re.compile(r"[!-~]{1,200}")


def check_request(route: Route, request: ApiRequest) -> Checked:
    """What the route's endpoint may rely on. Raises InputError and TooLargeError."""
    check_names(request.path)
    query, problems = _read(route.query, _once_each(request.query), "query")
    if route.job_file:
        check_size(request.body, MOST_JOB_FILE_BYTES)
        body = None
    elif route.body is not None:
        # No body is one that says nothing; `null` isn't.
        raw = read_json(request.body or b"{}", most=MOST_BYTES)
        body, more = _read(route.body, raw, BODY)
        problems += more
    else:
        check_size(request.body, MOST_BYTES)
        body = None
    key = request.headers.get(IDEMPOTENCY_KEY)
    # An empty one is a client's mistake, and no leave to do things twice.
    if key is not None and not _KEY.fullmatch(key):
        problems.append(
            Problem(
                where="Idempotency-Key",
                found=show(key),
                expected="must be 1 to 200 characters, without spaces",
                hint="a random UUID",
            )
        )
    if problems:
        raise InputError("request", problems[:_MOST_PROBLEMS], total=len(problems))
    return Checked(
        path=request.path,
        query=query,
        body=body,
        raw=request.body if route.job_file else b"",
        key=key or "",
        fingerprint=_fingerprint(route, request),
    )


def _once_each(query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A parameter's value; those that stand there twice stay lists, which nothing takes."""
    return {name: values[0] if len(values) == 1 else list(values) for name, values in query.items()}


def _read(
    model: type[BaseModel] | None, raw: Any, where: str
) -> tuple[BaseModel | None, list[Problem]]:
    if model is None:
        return None, [
            Problem(where=show(name), expected="no parameter is taken here") for name in raw
        ]
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        return None, list(_problems(model, error, where))


def _problems(model: type[BaseModel], error: ValidationError, where: str) -> Iterator[Problem]:
    for item in error.errors(include_url=False, include_context=False):
        place = shorten(".".join(str(part) for part in item["loc"])) or where
        match item["type"]:
            case "missing":
                yield Problem(where=place, expected="is required")
            case "extra_forbidden":
                names = ", ".join(model.model_fields) or "nothing"
                yield Problem(
                    where=shorten(ascii(place)),
                    expected=f"the {where} takes {names}",
                )
            case _:
                expected = re.sub(r"^(Input|Value error,|String) ?", "", item["msg"])
                yield Problem(
                    where=place,
                    found=_shown(item["input"]),
                    expected=expected.replace("should be", "must be", 1),
                )


def _shown(value: Any) -> str:
    try:
        return shorten(json.dumps(value, ensure_ascii=True)[:200])
    except (TypeError, ValueError):
        return type(value).__name__


def _fingerprint(route: Route, request: ApiRequest) -> str:
    """The same for the same request, another for any other."""
    digest = hashlib.sha256()
    meant = [route.name, sorted(request.path.items()), sorted(request.query.items())]
    digest.update(json.dumps(meant).encode())
    digest.update(request.body)
    return digest.hexdigest()
