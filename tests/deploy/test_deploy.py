"""A real `chalice deploy`: what it makes, that it may be repeated, that the Lambdas work."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from chalicelib.contract import DONE, LedgerEntry
from local.api import event_of
from tests.aws.samples import config_keys, job_file
from tests.deploy.conftest import APP, STAGE, Deployment

MIB = 2**20


def test_a_second_deployment_changes_nothing(deployed: Deployment) -> None:
    assert deployed.seen["first"] == deployed.seen["second"]


def test_what_others_have_in_the_bucket_stays(deployed: Deployment) -> None:
    others = deployed.seen["before"]["notifications"]
    assert len(others) == 1
    assert others.items() <= deployed.seen["second"]["notifications"].items()


def test_each_function_is_as_its_stage_says(deployed: Deployment) -> None:
    found = deployed.seen["second"]["functions"]
    names = deployed.project.names(STAGE)
    assert set(found) == set(names.values())
    for name, keys in deployed.project.functions(STAGE).items():
        function = found[names[name]]
        assert function["MemorySize"] == keys["lambda_memory_size"]
        assert function["Timeout"] == keys["lambda_timeout"]
        assert function["Environment"]["Variables"]["CELLFLEET_BUCKET"] == deployed.aws.bucket


def test_each_function_has_a_role_of_its_own_with_its_policy(deployed: Deployment) -> None:
    roles = deployed.seen["second"]["roles"]
    for name, keys in deployed.project.functions(STAGE).items():
        written = deployed.project.folder / ".chalice" / keys["iam_policy_file"]
        [policy] = [
            document
            for role, documents in roles.items()
            if role.endswith(f"-{STAGE}-{name}")
            for document in documents.values()
        ]
        assert policy == json.loads(written.read_text("utf-8"))


def test_the_package_is_small(deployed: Deployment) -> None:
    assert deployed.project.zips
    for package in deployed.project.zips:
        assert package.stat().st_size <= 25 * MIB


def test_every_route_is_behind_iam(deployed: Deployment) -> None:
    [api] = deployed.seen["second"]["APIs"].values()
    assert len(api["routes"]) > 10
    for route, (authorization, integration) in api["routes"].items():
        assert authorization == "AWS_IAM", route
        assert f":function:{APP}-{STAGE}/invocations" in integration, route


def test_an_upload_becomes_a_run_that_ends(deployed: Deployment) -> None:
    """Job file, monitor, workers' ledger, teardown: each step by the code that was deployed."""
    before = deployed.look()
    deployed.put("jobs/App/plate.json", job_file(3, config=config_keys()))
    assert deployed.lambdas.run_waiting(deployed.aws.access) == [f"{APP}-{STAGE}-on_job_file"]
    [live] = deployed.keys("live/")
    run_id = live.removeprefix("live/")
    ticked = deployed.ring(f"{APP}-{STAGE}-tick-event")
    assert ticked[0] == f"{APP}-{STAGE}-tick"
    assert deployed.read(f"runs/{run_id}/status.json")["waiting"] == 3

    finish_jobs(deployed, "AppQueue")
    for _ in range(8):
        deployed.ring(f"{APP}-{STAGE}-tick-event")
        if not deployed.keys("live/"):
            break
    assert deployed.read(f"runs/{run_id}/run.json")["phase"] == "finished"
    left = deployed.look()
    assert left["functions"] == before["functions"]
    assert not [url for url in left["queues"] if "AppQueue" in url]
    assert "[ERROR]" not in logged(deployed)


def finish_jobs(deployed: Deployment, queue: str) -> None:
    """What workers do: take every job, write the ledger, delete the message."""
    sqs = deployed.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in found:
            ours = json.loads(message["Body"])["cellfleet"]
            entry = LedgerEntry(
                run=ours["run"],
                minute=f"{datetime.now(UTC):%Y%m%dT%H%M}",
                submission=ours["submission"],
                job=ours["job"],
                attempt=1,
                outcome=DONE,
                seconds=7,
            )
            deployed.put(entry.key(), {})
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def logged(deployed: Deployment) -> str:
    """All that the functions have written."""
    logs = deployed.client("logs")
    return "\n".join(
        event["message"]
        for group in deployed.look()["log groups"]
        if group.startswith("/aws/lambda/")
        for event in logs.filter_log_events(logGroupName=group)["events"]
    )


def ask(deployed: Deployment, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """A request by way of the deployed API: its route, its integration, the function behind."""
    [api] = deployed.look()["APIs"].values()
    _, integration = api["routes"][f"{method} {path}"]
    arn = integration.partition("/functions/")[2].removesuffix("/invocations")
    event = event_of({"PATH_INFO": path}, method, path, {}, json.dumps(body or {}).encode())
    event["headers"]["content-type"] = "application/json"
    event["multiValueHeaders"]["content-type"] = ["application/json"]
    answer = deployed.lambdas.run(arn, event, deployed.aws.access)
    return answer["statusCode"], json.loads(answer["body"])


def test_requests_are_answered_by_the_deployed_function(deployed: Deployment) -> None:
    status, found = ask(deployed, "POST", "/config/validate", {"config": config_keys()})
    assert (status, found["app"]) == (200, "App")
    status, found = ask(deployed, "POST", "/config/validate", {"config": {"APP_NAME": "x y"}})
    assert status == 400
    assert ask(deployed, "GET", "/runs")[0] == 200


def test_nothing_is_left_after_delete(deployed: Deployment) -> None:
    """Last, since it ends what the other tests use."""
    deployed.chalice("delete", "--stage", STAGE)
    left = deployed.look()
    # What a run keeps: its logs, and the queue for dead letters, which apps share.
    left.pop("log groups", None)
    left["queues"] = {url: q for url, q in left["queues"].items() if "DeadMessages" not in url}
    assert left == deployed.seen["before"]
