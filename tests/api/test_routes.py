"""Every route is in the table, has its function, and lets nobody in whom IAM doesn't."""

from __future__ import annotations

import json
import re

from chalice.app import Chalice, IAMAuthorizer
from chalice.config import Config
from chalice.deploy.swagger import SwaggerGenerator

from chalicelib.core.api.routes import BY_NAME, ROUTES
from chalicelib.handlers.http import ENDPOINTS
from local.serve import project_app
from tests.syntax import ROOT


def registered(app: Chalice) -> dict[tuple[str, str], str]:
    """Method and path of every route, with the name of its function."""
    return {
        (method, path): entry.view_function.__name__
        for path, methods in app.routes.items()
        for method, entry in methods.items()
    }


def test_the_app_has_the_routes_of_the_table() -> None:
    assert registered(project_app()) == {(r.method, r.path): r.name for r in ROUTES}
    assert len(BY_NAME) == len(ROUTES)


def test_every_route_needs_iam() -> None:
    open_to_all = [
        f"{method} {path}"
        for path, methods in project_app().routes.items()
        for method, entry in methods.items()
        if not isinstance(entry.authorizer, IAMAuthorizer)
    ]
    assert open_to_all == []


def test_the_gateway_that_is_deployed_asks_for_signatures() -> None:
    """Chalice's own template of the API, as `chalice deploy` sends it."""
    swagger = SwaggerGenerator("us-east-1", {"api_handler_arn": "arn:aws:x"}).generate_swagger(
        project_app()
    )
    schemes = swagger["securityDefinitions"]
    assert {scheme["x-amazon-apigateway-authtype"] for scheme in schemes.values()} == {"awsSigv4"}
    methods = {
        (method.upper(), path): found
        for path, by_method in swagger["paths"].items()
        for method, found in by_method.items()
    }
    assert set(methods) == {(route.method, route.path) for route in ROUTES}
    assert {name for found in methods.values() for one in found["security"] for name in one} == set(
        schemes
    )
    assert all(found["security"] for found in methods.values())


def test_every_route_has_its_function() -> None:
    assert {name: f.__name__ for name, f in ENDPOINTS.items()} == {n: n for n in BY_NAME}


def test_every_change_can_be_done_once() -> None:
    changing = {r.name for r in ROUTES if r.method == "POST"} - {"validate_config", "offer_upload"}
    assert {r.name for r in ROUTES if r.changes} == changing


def test_every_lambda_has_a_policy_of_its_own() -> None:
    stages = json.loads((ROOT / ".chalice/config.json").read_text())["stages"]
    app = project_app()
    handlers = {"api_handler", *(source.name for source in app.event_sources)}
    for stage in stages.values():
        functions = stage["lambda_functions"]
        assert set(functions) == handlers
        files = [function["iam_policy_file"] for function in functions.values()]
        assert len(set(files)) == len(files)
        for file in files:
            assert json.loads((ROOT / ".chalice" / file).read_text())["Statement"]


def test_the_api_answers_before_the_gateway_gives_up() -> None:
    """It waits for 29 seconds. The settings are those of the function that Chalice deploys."""
    settings = json.loads((ROOT / ".chalice/config.json").read_text())
    for stage in settings["stages"]:
        whole = Config(chalice_stage=stage, config_from_disk=settings)
        assert whole.scope(stage, "api_handler").lambda_timeout < 29
        assert whole.scope(stage, "api_handler").iam_policy_file == "policy-api.json"
        assert whole.api_gateway_endpoint_type == "REGIONAL"


def test_the_page_lists_every_route() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    listed = re.findall(r"^\| `(GET|POST) (/[^`]*)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted((route.method, route.path) for route in ROUTES)
