"""From a configuration to a run that is looked after, over HTTP."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.aws.services import utc_now
from chalicelib.core.api.request import MOST_BYTES, MOST_JOB_FILE_BYTES
from chalicelib.handlers.submit import on_job_file
from chalicelib.operations import control, submissions
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import tick_run
from tests.api.conftest import BUCKET, Api
from tests.aws.samples import config_keys, job_file


def wheres(reply: Any) -> list[str]:
    return [problem["where"] for problem in reply.body["problems"]]


# --- configurations -------------------------------------------------------------------------------


def test_a_configuration_is_checked_and_completed(api: Api) -> None:
    reply = api.call("POST", "/config/validate", {"config": config_keys("Screen")})
    assert reply.status == 200
    assert reply.body["app"] == "Screen"
    assert reply.body["config"]["LOG_GROUP_NAME"] == "Screen"
    assert api.everything() == []


def test_a_config_py_is_read_as_data(api: Api) -> None:
    text = "APP_NAME = 'Screen'\nAWS_BUCKET = 'a-bucket'\nLOG_GROUP_NAME = APP_NAME\n"
    reply = api.call("POST", "/config/validate", {"source": text})
    assert (reply.status, reply.body["config"]["LOG_GROUP_NAME"]) == (200, "Screen")


def test_everything_that_is_wrong_is_said_at_once(api: Api) -> None:
    keys = config_keys(EBS_VOL_SIZE=3, DOCKER_CORES="many", CLUSTER_MACHINS=2)
    reply = api.call("POST", "/config/validate", {"config": keys})
    assert reply.status == 400
    assert {"EBS_VOL_SIZE", "DOCKER_CORES", "CLUSTER_MACHINS"} <= set(wheres(reply))
    assert reply.body["problems_in_all"] == len(reply.body["problems"])
    assert {"where", "found", "expected", "hint"} == set(reply.body["problems"][0])


@pytest.mark.parametrize(
    "body", [{}, {"config": {}, "source": ""}, {"config": []}, {"form": "py"}, [], "text", 7]
)
def test_a_body_that_holds_no_configuration(api: Api, body: Any) -> None:
    assert api.call("POST", "/config/validate", body).status == 400


# --- set-up ---------------------------------------------------------------------------------------


def test_set_up_makes_an_app(api: Api) -> None:
    made = api.set_up()
    assert (made["app"], made["phase"]) == ("App", "open")
    assert api.client("sqs").get_queue_url(QueueName="AppQueue")
    assert api.get(f"/runs/{made['run']}")["run"] == made["run"]
    assert api.set_up()["run"] == made["run"]


def test_set_up_again_takes_the_saved_configuration(api: Api) -> None:
    made = api.set_up()
    assert api.call("POST", "/apps/App/setup").body["run"] == made["run"]
    assert api.call("POST", "/apps/Other/setup", {}).status == 404


def test_another_apps_configuration_is_refused(api: Api) -> None:
    reply = api.call("POST", "/apps/Other/setup", {"config": config_keys("App")})
    assert (reply.status, wheres(reply)) == (400, ["APP_NAME"])
    assert api.everything() == []


def test_another_configuration_for_a_live_run_is_a_conflict(api: Api) -> None:
    run = api.set_up()["run"]
    api.submit()
    reply = api.call("POST", "/apps/App/setup", {"config": config_keys(MEMORY=5000)})
    assert (reply.status, reply.body["error"]) == (409, "conflict")
    assert run in reply.body["message"]


def test_a_queue_of_others_is_a_conflict_until_it_is_adopted(api: Api) -> None:
    api.client("sqs").create_queue(QueueName="AppQueue")
    reply = api.call("POST", "/apps/App/setup", {"config": config_keys()})
    assert (reply.status, reply.body["error"]) == (409, "conflict")
    assert "AppQueue" in reply.body["message"]
    body = {"config": config_keys(), "adopt": True}
    assert api.call("POST", "/apps/App/setup", body).status == 200


# --- job files ------------------------------------------------------------------------------------


def test_a_job_file_in_the_body_is_sent(api: Api) -> None:
    api.set_up()
    sent = api.submit(wells=5)
    assert (sent["state"], sent["jobs"], sent["sent"]) == ("closed", 5, 5)
    assert len(api.messages()) == 5
    assert api.get(f"/apps/App/jobs/{sent['submission']}") == {**sent, "messages": []}
    assert not [key for key in api.objects() if key.startswith("submitted/")]


def test_one_request_does_everything(api: Api) -> None:
    """With the configuration in the job file, and machines asked for, as an upload does."""
    reply = api.call("POST", "/apps/App/jobs", job_file(config=config_keys()))
    assert reply.status == 201
    assert api.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert api.get(f"/runs/{reply.body['run']}")["jobs"]["total"] == 4


def test_the_same_job_file_again_runs_again(api: Api) -> None:
    api.set_up()
    assert api.submit()["submission"] != api.submit()["submission"]
    assert len(api.messages()) == 8


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"groups": []}, "groups"),
        ({"pipeline": "../../etc/passwd"}, "pipeline"),
        ({"config": config_keys(EBS_VOL_SIZE=1)}, "EBS_VOL_SIZE"),
        ({"config": config_keys("Other")}, "config.APP_NAME"),
        ({"then": "nowhere.json"}, "then"),
        ({"fleet": {"IamFleetRole": "arn:aws:iam::1:role/x"}}, "LaunchSpecifications"),
        ({"config": config_keys(AWS_REGION="eu-west-1")}, "AWS_REGION"),
        ({}, "config"),
    ],
)
def test_a_wrong_job_file_leaves_nothing(api: Api, change: dict[str, Any], where: str) -> None:
    reply = api.call("POST", "/apps/App/jobs", job_file(**{"config": config_keys(), **change})
                     if change else job_file())  # fmt: skip
    assert (reply.status, wheres(reply)) == (400, [where])
    assert api.everything() == []


def test_a_job_file_that_set_up_refuses_leaves_nothing(api: Api) -> None:
    api.client("sqs").create_queue(QueueName="AppQueue")
    before = api.everything()
    reply = api.call("POST", "/apps/App/jobs", job_file(config=config_keys()))
    assert reply.status == 409
    assert api.everything() == before


def test_a_job_file_over_the_limit_is_told_where_to_go(api: Api) -> None:
    body = b'{"_comment": "' + b"x" * MOST_JOB_FILE_BYTES + b'"}'
    reply = api.call("POST", "/apps/App/jobs", body)
    assert (reply.status, reply.body["error"]) == (413, "too-large")
    assert "uploads" in reply.body["problems"][0]["hint"]
    assert api.call("POST", "/apps/App/setup", b" " * (MOST_BYTES + 1)).status == 413


def test_a_run_that_is_being_removed_lets_a_job_file_wait(api: Api) -> None:
    run = api.set_up()["run"]
    api.submit()
    control.stop(api.services(), "App")
    reply = api.call("POST", "/apps/App/jobs", job_file())
    assert (reply.status, reply.body["state"]) == (202, "waiting")
    assert run in reply.body["messages"][0]
    assert [key for key in api.objects() if key.startswith("runs/pending/App/")]


def test_a_large_job_file_is_uploaded_by_a_link(api: Api) -> None:
    api.set_up()
    offered = api.call("POST", "/apps/App/uploads", {"name": "plate"})
    assert (offered.status, offered.body["job_file"]) == (201, "jobs/App/plate.json")
    request = urllib.request.Request(
        offered.body["url"],
        json.dumps(job_file()).encode(),
        {"Content-Type": "application/json"},
        method=offered.body["method"],
    )
    with urllib.request.urlopen(request) as put:
        assert put.status == 200
    stored = {"key": "jobs/App/plate.json", "sequencer": "01"}
    event = {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": stored}}]}
    assert on_job_file(api.services(), event)[0].state == "closed"


def test_why_an_uploaded_job_file_was_refused(api: Api) -> None:
    api.services().store.put("jobs/App/bad.json", b"{}")
    stored = {"key": "jobs/App/bad.json", "sequencer": "01"}
    on_job_file(
        api.services(), {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": stored}}]}
    )
    refused = api.get("/apps/App/refusals/bad")
    assert refused["job_file"] == "jobs/App/bad.json"
    assert any("pipeline" in problem for problem in refused["problems"])
    assert api.call("GET", "/apps/App/refusals/good").status == 404
    assert api.call("GET", "/apps/App/jobs/0123456789abcdef").status == 404


# --- a live run -----------------------------------------------------------------------------------


def test_start_asks_for_machines(api: Api) -> None:
    api.set_up()
    api.submit()
    reply = api.call("POST", "/apps/App/start")
    assert (reply.status, reply.body["errors"]) == (202, [])
    assert reply.body["machines"]["there"] > 0
    fleets = api.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert len(fleets) == 1


def test_stop_purges_and_ends(api: Api) -> None:
    run = api.set_up()["run"]
    api.submit()
    reply = api.call("POST", "/apps/App/stop")
    assert (reply.status, reply.body["run"], reply.body["outcome"]) == (202, run, "stopped")
    assert api.messages() == []
    tick_run(api.services(), run)
    told = api.get(f"/runs/{run}")
    assert (told["phase"], told["jobs"]["waiting"]) == ("finished", None)


def test_scale_bounds_the_machines(api: Api) -> None:
    run = api.set_up(CLUSTER_MACHINES=3)["run"]
    reply = api.call("POST", "/apps/App/scale", {"machines": 1})
    assert (reply.status, reply.body["machines"]["at_most"]) == (202, 1)
    assert "asked for" in reply.body["machines"]["reason"]
    api.submit(wells=40, start=True)
    fleets = api.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert [f["SpotFleetRequestConfig"]["TargetCapacity"] for f in fleets] == [1]
    reply = api.call("POST", "/apps/App/scale", {"machines": None})
    assert (reply.body["machines"]["at_most"], reply.body["machines"]["reason"]) == (3, "")
    tick_run(api.services(), run)
    assert api.get(f"/runs/{run}")["machines"]["there"] == 3


@pytest.mark.parametrize("machines", [0, 4, -1, 1.5, "2", True, 10**30])
def test_scale_takes_what_the_configuration_allows(api: Api, machines: Any) -> None:
    api.set_up(CLUSTER_MACHINES=3)
    reply = api.call("POST", "/apps/App/scale", {"machines": machines})
    assert (reply.status, wheres(reply)) == (400, ["machines"])


def test_monitor_looks_after_a_run(api: Api) -> None:
    run = api.set_up(AUTO_MONITOR="False")["run"]
    assert api.call("POST", "/apps/App/monitor", {"cheapest": True}).status == 202
    record = api.services().runs.load(run)
    assert (record.monitored, record.cheapest) == (True, True)


@pytest.mark.parametrize("path", ["start", "stop", "scale", "monitor"])
def test_what_isnt_there_cant_be_told_anything(api: Api, path: str) -> None:
    reply = api.call("POST", f"/apps/App/{path}", {"machines": 1} if path == "scale" else {})
    assert (reply.status, reply.body["error"]) == (404, "not-found")
    assert api.everything() == []


def test_a_run_that_is_being_removed_takes_no_more(api: Api) -> None:
    api.set_up()
    control.stop(api.services(), "App")
    for path, body in [("start", {}), ("scale", {"machines": 1})]:
        reply = api.call("POST", f"/apps/App/{path}", body)
        assert (reply.status, reply.body["error"]) == (409, "not-ready")


def test_a_job_file_that_takes_too_long_goes_on_by_itself(api: Api) -> None:
    """Time is up before the first message; a tick sends the rest."""
    api.set_up()
    hurried = replace(api.services(), deadline=utc_now() + timedelta(seconds=5))
    body = json.dumps(job_file(3)).encode()
    sent = submissions.take(hurried, "App", body, name="job", start=False, token="0123")
    assert sent.state == "working"
    assert [outcome.state for outcome in resume_all(api.services())] == ["closed"]
    assert api.get(f"/apps/App/jobs/{sent.submission}")["state"] == "closed"
    assert len(api.messages()) == 3
