"""The Chalice app: registers entry points, and nothing else."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from chalice.app import Chalice, IAMAuthorizer, Response

if TYPE_CHECKING:
    from chalicelib.aws.services import Services

# Powertools writes the log; Chalice's own handler would write each line a second time.
app = Chalice(app_name="cellfleet", configure_logs=False)
log = Logger(service="cellfleet")
#: Every route has it.
iam = IAMAuthorizer()


def _services(context: Any) -> Services:
    from chalicelib.aws.services import Services

    return Services.from_environment(
        remaining=timedelta(milliseconds=context.get_remaining_time_in_millis())
    )


@app.on_s3_event(
    bucket=os.environ.get("CELLFLEET_BUCKET", "cellfleet"),
    events=["s3:ObjectCreated:*"],
    prefix="jobs/",
    suffix=".json",
)
def on_job_file(event: Any) -> None:
    """A job file was uploaded."""
    from chalicelib.handlers.submit import on_job_file as handle

    handle(_services(event.context), event.to_dict())


@app.schedule("rate(1 minute)")
def tick(event: Any) -> dict[str, int]:
    """The monitor's pass."""
    from chalicelib.handlers.monitor import tick as handle

    return handle(_services(event.context))


@app.schedule("rate(1 hour)")
def sweep(event: Any) -> dict[str, int]:
    """What no live run needs is removed."""
    from chalicelib.handlers.sweep import sweep as handle

    return handle(_services(event.context))


# --- the HTTP API: chalicelib/core/api/routes.py says what each route takes and answers ------------


def _answer(route: str, **path: str) -> Response:
    from chalicelib.core.api.request import ApiRequest
    from chalicelib.handlers.http import answer

    request: Any = app.current_request
    query: Any = request.query_params or {}
    found = answer(
        _services(request.lambda_context),
        route,
        ApiRequest(
            path=path,
            query={name: query.getlist(name) for name in query},
            headers=dict(request.headers),
            body=bytes(request.raw_body),
        ),
    )
    return Response(found.body, dict(found.headers), found.status)


@app.route("/config/validate", methods=["POST"], authorizer=iam)
def validate_config() -> Response:
    return _answer("validate_config")


@app.route("/apps/{app}/setup", methods=["POST"], authorizer=iam)
def set_up_app(app: str) -> Response:
    return _answer("set_up_app", app=app)


@app.route("/apps/{app}/jobs", methods=["POST"], authorizer=iam)
def submit_jobs(app: str) -> Response:
    return _answer("submit_jobs", app=app)


@app.route("/apps/{app}/jobs/{submission}", methods=["GET"], authorizer=iam)
def show_submission(app: str, submission: str) -> Response:
    return _answer("show_submission", app=app, submission=submission)


@app.route("/apps/{app}/uploads", methods=["POST"], authorizer=iam)
def offer_upload(app: str) -> Response:
    return _answer("offer_upload", app=app)


@app.route("/apps/{app}/refusals/{name}", methods=["GET"], authorizer=iam)
def show_refusal(app: str, name: str) -> Response:
    return _answer("show_refusal", app=app, name=name)


@app.route("/apps/{app}/start", methods=["POST"], authorizer=iam)
def start_machines(app: str) -> Response:
    return _answer("start_machines", app=app)


@app.route("/apps/{app}/stop", methods=["POST"], authorizer=iam)
def stop_run(app: str) -> Response:
    return _answer("stop_run", app=app)


@app.route("/apps/{app}/scale", methods=["POST"], authorizer=iam)
def scale_run(app: str) -> Response:
    return _answer("scale_run", app=app)


@app.route("/apps/{app}/monitor", methods=["POST"], authorizer=iam)
def watch_run(app: str) -> Response:
    return _answer("watch_run", app=app)


@app.route("/runs", methods=["GET"], authorizer=iam)
def list_runs() -> Response:
    return _answer("list_runs")


@app.route("/runs/{run}", methods=["GET"], authorizer=iam)
def show_run(run: str) -> Response:
    return _answer("show_run", run=run)


@app.route("/runs/{run}/failures", methods=["GET"], authorizer=iam)
def list_failures(run: str) -> Response:
    return _answer("list_failures", run=run)


@app.route("/runs/{run}/redrive", methods=["POST"], authorizer=iam)
def redrive_jobs(run: str) -> Response:
    return _answer("redrive_jobs", run=run)


@app.route("/runs/{run}/report", methods=["GET"], authorizer=iam)
def show_report(run: str) -> Response:
    return _answer("show_report", run=run)


@app.route("/openapi.json", methods=["GET"], authorizer=iam)
def show_document() -> Response:
    return _answer("show_document")
