"""The OpenAPI document is one, and the API does what it says: schemathesis asks every route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS

from chalicelib.contract import DEAD, FAILED, INPUT
from chalicelib.core import keys
from chalicelib.core.api.names import is_name
from chalicelib.core.api.openapi import document
from chalicelib.core.refusal import refusal
from chalicelib.errors import NotFoundError
from tests.api.conftest import Api

# The emulator isn't asked for signatures; API Gateway, not we, answers for methods that no route
# has; and a configuration is more than a schema can say.
NOT_OURS = ["ignored_auth", "unsupported_method", "positive_data_acceptance", "missing_required_header"]  # fmt: skip


def unsigned() -> dict[str, Any]:
    """The document without signatures."""
    whole = document()
    components = {"schemas": whole["components"]["schemas"]}
    return {**whole, "security": [], "components": components}


schema = schemathesis.openapi.from_dict(unsigned())


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_the_document_is_served(api: Api) -> None:
    assert api.get("/openapi.json") == document()


EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def ask(case: Any, api: Api) -> None:
    case.call_and_validate(base_url=api.url, excluded_checks=CHECKS.get_by_names(NOT_OURS))


@schema.parametrize()
@EXAMPLES
def test_every_route_does_what_the_document_says(case: Any, api: Api) -> None:
    ask(case, api)


@schema.parametrize()
@EXAMPLES
def test_and_so_it_does_where_there_is_something(case: Any, live: Live) -> None:
    """Names that could be some are those of what is there, so that requests do something."""
    for name, value in live.names.items():
        if name in case.path_parameters and is_name(name, str(case.path_parameters[name])):
            case.path_parameters[name] = value
    ask(case, live.api)


@dataclass(frozen=True)
class Live:
    """An API behind which there is something of each kind."""

    api: Api
    names: Mapping[str, str]


@pytest.fixture
def live(api: Api) -> Live:
    """A run with waiting, failed and dead jobs and a report, and a refusal."""
    run = str(api.set_up()["run"])
    sent = api.submit(wells=12)
    sqs = api.client("sqs")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    for number in range(6):
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        outcome = DEAD if number % 2 else FAILED
        api.record(api.decode(message), outcome, cause=INPUT, sentence="no such image")
    store = api.services().store
    store.put(keys.report(run), b"<p>all well</p>")
    error = NotFoundError("there is no such file")
    told = refusal(error, key="jobs/App/plate.json", now=datetime.now(UTC))
    store.put(keys.refusal("App", "plate"), told)
    names = {"app": "App", "run": run, "submission": sent["submission"], "name": "plate"}
    return Live(api, names)
