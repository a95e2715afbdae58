"""Every route of the API: what it takes, and what it answers.

The endpoints' names are those of the functions in `chalicelib.handlers.http_*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from chalicelib.core.api import answers, asks


@dataclass(frozen=True, kw_only=True)
class Route:
    """One method of one path. `job_file`: the body is one, and is read as a stream."""

    name: str
    method: str
    path: str
    summary: str
    query: type[BaseModel] | None = None
    body: type[asks.Ask] | None = None
    job_file: bool = False
    #: Status to what is answered with it.
    answers: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    #: Statuses of refusals, beside those that every route has.
    refusals: tuple[int, ...] = ()
    #: Whether it changes anything, so that an idempotency key makes it happen once.
    changes: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The names in braces of the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


ROUTES: tuple[Route, ...] = (
    Route(
        name="validate_config",
        method="POST",
        path="/config/validate",
        summary="Check a configuration; nothing is made",
        body=asks.ValidateAsk,
        answers={200: answers.ConfigAnswer},
    ),
    Route(
        name="set_up_app",
        method="POST",
        path="/apps/{app}/setup",
        summary="Make queue, containers and logs of an app, or bring them in step",
        body=asks.SetupAsk,
        answers={200: answers.RunAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="submit_jobs",
        method="POST",
        path="/apps/{app}/jobs",
        summary="Send the jobs of a job file",
        query=asks.JobsQuery,
        job_file=True,
        answers={201: answers.SubmissionAnswer, 202: answers.SubmissionAnswer},
        refusals=(409, 422),
        changes=True,
    ),
    Route(
        name="show_submission",
        method="GET",
        path="/apps/{app}/jobs/{submission}",
        summary="What became of a job file",
        answers={200: answers.SubmissionAnswer},
        refusals=(404,),
    ),
    Route(
        name="offer_upload",
        method="POST",
        path="/apps/{app}/uploads",
        summary="A link to upload a job file of any size with; its arrival starts it",
        body=asks.UploadAsk,
        answers={201: answers.UploadAnswer},
    ),
    Route(
        name="show_refusal",
        method="GET",
        path="/apps/{app}/refusals/{name}",
        summary="Why an uploaded job file was refused",
        answers={200: answers.RefusalAnswer},
        refusals=(404,),
    ),
    Route(
        name="start_machines",
        method="POST",
        path="/apps/{app}/start",
        summary="Ask for machines for the jobs there are",
        body=asks.StartAsk,
        answers={202: answers.RunAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="stop_run",
        method="POST",
        path="/apps/{app}/stop",
        summary="End the app's run now: purge its queue, remove all but results and logs",
        body=asks.StopAsk,
        answers={202: answers.RunAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="scale_run",
        method="POST",
        path="/apps/{app}/scale",
        summary="Allow the app's run at most so many machines",
        body=asks.ScaleAsk,
        answers={202: answers.RunAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="watch_run",
        method="POST",
        path="/apps/{app}/monitor",
        summary="Look after the app's run to its end, though AUTO_MONITOR is off",
        body=asks.MonitorAsk,
        answers={202: answers.RunAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="list_runs",
        method="GET",
        path="/runs",
        summary="Runs, page by page",
        query=asks.RunsQuery,
        answers={200: answers.RunsAnswer},
    ),
    Route(
        name="show_run",
        method="GET",
        path="/runs/{run}",
        summary="How a run stands",
        answers={200: answers.RunAnswer},
        refusals=(404, 409),
    ),
    Route(
        name="list_failures",
        method="GET",
        path="/runs/{run}/failures",
        summary="Failed tries of a run's jobs, page by page",
        query=asks.FailuresQuery,
        answers={200: answers.FailuresAnswer},
        refusals=(404, 409),
    ),
    Route(
        name="redrive_jobs",
        method="POST",
        path="/runs/{run}/redrive",
        summary="Send a run's dead jobs again",
        body=asks.RedriveAsk,
        answers={200: answers.RedriveAnswer, 202: answers.RedriveAnswer},
        refusals=(404, 409, 422),
        changes=True,
    ),
    Route(
        name="show_report",
        method="GET",
        path="/runs/{run}/report",
        summary="A link to a run's report",
        answers={200: answers.ReportAnswer},
        refusals=(404, 409),
    ),
    Route(
        name="show_document",
        method="GET",
        path="/openapi.json",
        summary="This document",
    ),
)

BY_NAME: Mapping[str, Route] = {route.name: route for route in ROUTES}
