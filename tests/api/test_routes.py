"""Every route is in the table, has its function, and lets nobody in whom IAM doesn't."""

from __future__ import annotations

import json
import re

from chalice.app import Chalice, IAMAuthorizer

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
        # API Gateway waits for 29 seconds.
        assert functions["api_handler"]["lambda_timeout"] < 29


def test_the_page_lists_every_route() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    listed = re.findall(r"^\| `(GET|POST) (/[^`]*)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted((route.method, route.path) for route in ROUTES)
