"""The Chalice app: registers entry points, and nothing else."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from chalice.app import Chalice

if TYPE_CHECKING:
    from chalicelib.aws.services import Services

# Powertools writes the log; Chalice's own handler would write each line a second time.
app = Chalice(app_name="cellfleet", configure_logs=False)
log = Logger(service="cellfleet")


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
