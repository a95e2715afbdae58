"""Figures of a run for CloudWatch, from what its tick saw: a line of the log that becomes metrics.

Namespace `CellFleet`, by app and deployment. Each tick tells how things stand, not what has
changed, so that a tick that is lost or comes twice does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.core.naming import app_of

if TYPE_CHECKING:
    from chalicelib.operations.tick import Status

NAMESPACE = "CellFleet"


def emit(status: Status, deployment: str) -> None:
    """Write the line. `DollarsAnHourAtMost` is MACHINE_PRICE for each machine: what they may
    cost, not what they do; without that key it isn't told."""
    from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimension(name="app", value=app_of(status.run_id))
    metrics.add_dimension(name="deployment", value=deployment)
    metrics.add_metadata(key="run_id", value=status.run_id)
    counts = {
        "JobsDone": status.done,
        "JobsFailed": status.dead,
        "Machines": status.machines,
        "Errors": len(status.errors),
    }
    for name, value in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    if status.dollars_an_hour is not None:
        metrics.add_metric(
            name="DollarsAnHourAtMost", unit=MetricUnit.NoUnit, value=status.dollars_an_hour
        )
    metrics.flush_metrics()
