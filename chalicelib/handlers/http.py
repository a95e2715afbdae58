"""Trigger: an HTTP request. Checked against its route, done once, answered in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aws_lambda_powertools import Logger

from chalicelib.aws.errors import AwsError
from chalicelib.aws.services import Services
from chalicelib.core.api.reading import check_request
from chalicelib.core.api.refusals import aws_refused, refuse
from chalicelib.core.api.request import Answer, ApiRequest, Checked
from chalicelib.core.api.routes import BY_NAME
from chalicelib.core.naming import app_of
from chalicelib.errors import CellFleetError
from chalicelib.handlers import http_apps, http_runs
from chalicelib.operations.once import once

log = Logger(service="cellfleet", child=True)

Endpoint = Callable[[Services, Checked], Answer]
#: Each route's function has its name.
ENDPOINTS: Mapping[str, Endpoint] = {
    name: getattr(http_apps, name, None) or getattr(http_runs, name) for name in BY_NAME
}


def answer(services: Services, name: str, request: ApiRequest) -> Answer:
    """The answer to a request of the route of this name, whatever goes wrong."""
    try:
        return _answer(services, name, request)
    except CellFleetError as error:
        log.info("request refused", extra={"route": name, "reason": str(error)})
        return refuse(error)
    except AwsError as error:
        log.exception("AWS refused a step of a request", extra={"route": name})
        return aws_refused(error)


def _answer(services: Services, name: str, request: ApiRequest) -> Answer:
    route = BY_NAME[name]
    checked = check_request(route, request)
    if not route.changes or not checked.key:
        return ENDPOINTS[name](services, checked)
    app = checked.path.get("app") or app_of(checked.path["run"])
    return once(
        services,
        app,
        checked.key,
        checked.fingerprint,
        lambda: ENDPOINTS[name](services, checked),
    )
