"""The API's endpoints about runs: how they stand, what failed, once more; and the document."""

from __future__ import annotations

from chalicelib.aws.services import Services
from chalicelib.core.api.answers import RedriveAnswer
from chalicelib.core.api.openapi import document
from chalicelib.core.api.request import Answer, Checked
from chalicelib.operations import failures, redrive, run_view


def list_runs(services: Services, request: Checked) -> Answer:
    return Answer.of(run_view.list_runs(services, **request.query.model_dump()))


def show_run(services: Services, request: Checked) -> Answer:
    return Answer.of(run_view.show(services, request.path["run"]))


def list_failures(services: Services, request: Checked) -> Answer:
    run = request.path["run"]
    return Answer.of(failures.failures(services, run, **request.query.model_dump()))


def redrive_jobs(services: Services, request: Checked) -> Answer:
    body = request.body
    sent = redrive.redrive(services, request.path["run"], jobs=body.jobs, causes=body.causes)
    told = RedriveAnswer(jobs=sum(one.jobs for one in sent), submissions=tuple(sent))
    return Answer.of(told, 200 if all(one.state == "closed" for one in sent) else 202)


def show_report(services: Services, request: Checked) -> Answer:
    return Answer.of(run_view.report(services, request.path["run"]))


def show_document(_services: Services, _request: Checked) -> Answer:
    return Answer(status=200, body=document())
