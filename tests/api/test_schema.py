"""The OpenAPI document is one, and the API does what it says: schemathesis asks every route."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS

from chalicelib.core.api.openapi import document
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


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_every_route_does_what_the_document_says(case: Any, api: Api) -> None:
    case.call_and_validate(base_url=api.url, excluded_checks=CHECKS.get_by_names(NOT_OURS))
