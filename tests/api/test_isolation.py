"""A request about one app leaves another as it was, however alike their names are."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.contract import DEAD, INPUT
from chalicelib.operations.tick import tick_run
from tests.api.conftest import Api
from tests.aws.samples import config_keys, job_file

#: App ids and run ids of each begin like those of the other.
MINE, OTHER = "App", "App-B"


def state(api: Api, app: str) -> dict[str, Any]:
    """All that an app has: its objects by ETag, its queue, service, machines and dashboard."""
    services = api.services()
    sqs, ecs, ec2 = (api.client(name) for name in ("sqs", "ecs", "ec2"))
    url = sqs.get_queue_url(QueueName=f"{app}Queue")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    (service,) = ecs.describe_services(cluster="lab", services=[f"{app}Service"])["services"]
    run = services.runs.latest_id(app)
    instances = ec2.describe_instances(Filters=[{"Name": "tag:cellfleet.run", "Values": [run]}])
    return {
        "objects": {e.key: e.etag for e in services.store.entries("") if app in e.key.split("/")
                    or run in e.key.split("/")},
        "messages": (found["ApproximateNumberOfMessages"],
                     found["ApproximateNumberOfMessagesNotVisible"]),
        "service": (service["status"], service["desiredCount"], service["taskDefinition"]),
        "machines": sorted((i["InstanceId"], i["State"]["Name"])
                           for r in instances["Reservations"] for i in r["Instances"]),
    }  # fmt: skip


def prepare(api: Api, app: str) -> str:
    """A live run with a dead job, waiting jobs and machines; its id."""
    run = str(api.set_up(app)["run"])
    api.submit(app, wells=3)
    url = api.client("sqs").get_queue_url(QueueName=f"{app}Queue")["QueueUrl"]
    (message,) = api.client("sqs").receive_message(QueueUrl=url)["Messages"]
    api.record(api.decode(message), DEAD, cause=INPUT)
    assert api.call("POST", f"/apps/{app}/start").status == 202
    return run


@pytest.mark.parametrize(("mine", "other"), [(MINE, OTHER), (OTHER, MINE)])
def test_everything_done_to_one_app_leaves_the_other_alone(api: Api, mine: str, other: str) -> None:
    run, other_run = prepare(api, mine), prepare(api, other)
    before = state(api, other)
    assert before["objects"]
    assert before["machines"]
    for path, body in [
        (f"/apps/{mine}/setup", None),
        (f"/apps/{mine}/jobs", job_file(2)),
        (f"/apps/{mine}/uploads", {"name": "plate"}),
        (f"/apps/{mine}/scale", {"machines": 1}),
        (f"/apps/{mine}/monitor", None),
        (f"/runs/{run}/redrive", None),
        (f"/apps/{mine}/stop", None),
    ]:
        reply = api.call("POST", path, body, key=path)
        assert reply.status in (200, 201, 202), (path, reply)
    for _ in range(3):
        tick_run(api.services(), run)
    assert api.get(f"/runs/{run}")["phase"] == "finished"
    assert state(api, other) == before
    assert api.get(f"/runs/{other_run}")["phase"] == "open"
    runs = {one["run"] for one in api.get(f"/runs?app={mine}")["runs"]}
    assert runs == {run}


def test_a_submission_of_another_app_isnt_shown(api: Api) -> None:
    api.set_up(MINE)
    api.set_up(OTHER)
    sent = api.submit(OTHER)
    assert api.call("GET", f"/apps/{MINE}/jobs/{sent['submission']}").status == 404
    assert api.call("GET", f"/apps/{OTHER}/jobs/{sent['submission']}").status == 200


def test_an_app_cant_be_set_up_on_the_queue_of_another(api: Api) -> None:
    run = prepare(api, OTHER)
    before = state(api, OTHER)
    for taken in ({"SQS_QUEUE_NAME": f"{OTHER}Queue"}, {"SQS_DEAD_LETTER_QUEUE": f"{OTHER}Queue"}):
        body = {"config": config_keys(MINE, **taken), "adopt": True}
        assert api.call("POST", f"/apps/{MINE}/setup", body).status == 409
    assert state(api, OTHER) == before
    assert api.get(f"/runs/{run}")["phase"] == "open"
