"""Trigger: the schedule, once an hour."""

from __future__ import annotations

from chalicelib.aws.services import Services
from chalicelib.errors import DeadlineError
from chalicelib.operations.sweep import sweep as run_sweep


def sweep(services: Services) -> dict[str, int]:
    """One pass over everything that carries this deployment's tags."""
    try:
        report = run_sweep(services)
    except DeadlineError:
        return {"removed": 0}  # level-triggered: the next sweep does the rest
    return {"removed": sum(verdict.action is not None for verdict in report.verdicts)}
