"""Trigger: the schedule, once a minute."""

from __future__ import annotations

from chalicelib.aws.services import Services
from chalicelib.errors import DeadlineError
from chalicelib.operations.log_export import export_all
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import tick_all


def tick(services: Services) -> dict[str, int]:
    """One pass over all live runs, then over submissions that wait or whose process died, then
    over finished runs whose logs are still to be exported."""
    runs = submissions = exports = 0
    try:
        for _ in tick_all(services):
            runs += 1
        for _ in resume_all(services):
            submissions += 1
        for _ in export_all(services):
            exports += 1
    except DeadlineError:
        pass  # level-triggered: the next tick does the rest
    return {"runs": runs, "submissions": submissions, "exports": exports}
