"""The OpenAPI document, made of the routes and their models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.core.api.answers import ErrorAnswer
from chalicelib.core.api.names import NAMES
from chalicelib.core.api.request import IDEMPOTENCY_KEY, MOST_JOB_FILE_BYTES
from chalicelib.core.api.routes import ROUTES, Route

_VERSION = "1"
#: What every route may answer.
_ALWAYS = (400, 413, 502, 503)
_MEANING = {
    200: "Done.",
    201: "Made.",
    202: "Begun; it goes on by itself.",
    400: "What was given can't be used. Nothing was done.",
    404: "There is no such thing.",
    409: "Something stands in the way; the message says what to do.",
    413: "The body is too large.",
    422: "The idempotency key came with another request before.",
    502: "AWS refused a step, or broke off.",
    503: "It took too long; the same request goes on.",
}
_JOB_FILE = {
    "type": "object",
    "description": f"A job file of at most {MOST_JOB_FILE_BYTES:,} bytes, as DCP's.",
    "required": ["pipeline", "data_file", "input", "output", "groups"],
    "properties": {
        "pipeline": {"type": "string"},
        "data_file": {"type": "string"},
        "input": {"type": "string"},
        "output": {"type": "string"},
        "output_structure": {"type": "string"},
        "groups": {"type": "array", "minItems": 1, "items": {}},
        "config": {"type": "object"},
        "fleet": {"type": "object"},
        "then": {"type": "string"},
        "then_if_failed_at_most": {"type": ["string", "integer"]},
    },
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    asked = {model for route in ROUTES for model in (route.query, route.body) if model}
    answered = {model for route in ROUTES for model in route.answers.values()} | {ErrorAnswer}
    refs, schemas = models_json_schema(
        [
            *((model, "validation") for model in sorted(asked, key=_name)),
            *((model, "serialization") for model in sorted(answered, key=_name)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, {model.__name__: ref for (model, _), ref in refs.items()}
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CellFleet",
            "version": _VERSION,
            "description": "Runs CellProfiler over any number of image groups on AWS.",
        },
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "JobFile": _JOB_FILE},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _operation(route: Route, refs: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_names(route), *_query(route), *_key(route)],
        "responses": {
            str(status): _response(status, refs[model.__name__])
            for status, model in route.answers.items()
        },
    }
    if not route.answers:
        operation["responses"]["200"] = _response(200, {"type": "object"})
    for status in sorted({*_ALWAYS, *route.refusals}):
        operation["responses"][str(status)] = _response(status, refs[ErrorAnswer.__name__])
    if route.job_file:
        operation["requestBody"] = _body({"$ref": "#/components/schemas/JobFile"}, required=True)
    elif route.body is not None:
        required = any(field.is_required() for field in route.body.model_fields.values())
        operation["requestBody"] = _body(refs[route.body.__name__], required=required)
    return operation


def _names(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": NAMES[name][1],
            "schema": {"type": "string", "pattern": NAMES[name][0]},
        }
        for name in route.variables
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(found)}
        for name, found in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it can't be null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "title")}
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    return {**(kinds[0] if kinds else {}), **rest, **default}


def _key(route: Route) -> list[dict[str, Any]]:
    if not route.changes:
        return []
    return [
        {
            "name": IDEMPOTENCY_KEY.title(),
            "in": "header",
            "required": False,
            "description": "Within a day, the same request with the same key is done once.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
        }
    ]


def _body(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _response(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": _MEANING[status],
        "content": {"application/json": {"schema": schema}},
    }
