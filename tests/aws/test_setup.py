"""Set-up against the emulator: complete, repeatable, changing only what differs."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.aws.errors import AwsError
from chalicelib.core.config import parse_keys
from chalicelib.core.run import RunRecord
from chalicelib.errors import CellFleetError, ConfigError, ConflictError
from chalicelib.operations.setup import set_up
from tests.aws.conftest import World
from tests.aws.samples import config_keys


def set_up_app(world: World, app: str = "App", adopt: bool = False, **changes: Any) -> RunRecord:
    parsed = parse_keys(config_keys(app, **changes), "config.py")
    return set_up(world.process(), parsed, adopt=adopt)


def queue(world: World, name: str) -> tuple[dict[str, str], dict[str, str]]:
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return attributes, sqs.list_queue_tags(QueueUrl=url).get("Tags", {})


def test_everything_a_run_needs_is_made_and_tagged(world: World) -> None:
    record = set_up_app(world)

    jobs, tags = queue(world, "AppQueue")
    dead, _ = queue(world, "lab_DeadMessages")
    assert jobs["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == "1209600"
    assert jobs["VisibilityTimeout"] == "60"
    redrive = json.loads(jobs["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 3
    assert tags["cellfleet.run"] == record.run_id

    ecs = world.client("ecs")
    service = ecs.describe_services(cluster="lab", services=["AppService"])["services"][0]
    assert service["desiredCount"] == 0
    assert service["placementConstraints"][0]["expression"].endswith(record.run_id)
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
    container = definition["taskDefinition"]["containerDefinitions"][0]
    environment = {item["name"]: item["value"] for item in container["environment"]}
    assert environment["SQS_QUEUE_URL"].endswith("/AppQueue")
    assert environment["CELLFLEET_RUN_ID"] == record.run_id

    groups = world.client("logs").describe_log_groups()["logGroups"]
    assert {(g["logGroupName"], g["retentionInDays"]) for g in groups} == {
        ("App", 60),
        ("App_perInstance", 60),
    }
    assert world.keys("live/") == [f"live/{record.run_id}"]
    assert world.read("apps/App/config.json")["APP_NAME"] == "App"


def test_a_second_set_up_changes_nothing(world: World) -> None:
    first = set_up_app(world)
    before = len(world.wire.seen)
    second = set_up_app(world)
    calls = world.wire.seen[before:]
    assert second == first
    writes = ("Create", "Register", "Update", "SetQueue", "Tag", "Put")
    made = [c for c in calls if any(f".{w}" in c for w in writes)]
    assert made == []


def test_visibility_and_retries_of_an_existing_queue_are_brought_in_step(world: World) -> None:
    set_up_app(world)
    set_up_app(world, SQS_MESSAGE_VISIBILITY=600, JOB_RETRIES=5)
    attributes, _ = queue(world, "AppQueue")
    assert attributes["VisibilityTimeout"] == "600"
    assert int(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]) == 5


def test_what_was_changed_by_hand_is_put_right(world: World) -> None:
    set_up_app(world)
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    set_up_app(world)
    assert queue(world, "AppQueue")[0]["VisibilityTimeout"] == "60"


def test_a_queue_that_dcp_left_is_refused_and_then_adopted(world: World) -> None:
    sqs = world.client("sqs")
    url = sqs.create_queue(QueueName="AppQueue")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="left by DCP")
    with pytest.raises(ConflictError, match=r"queue AppQueue exists already.*--adopt"):
        set_up_app(world)
    assert world.keys() == []  # nothing was made, not even a record
    assert queue(world, "AppQueue")[1] == {}

    record = set_up_app(world, adopt=True)
    attributes, tags = queue(world, "AppQueue")
    assert tags["cellfleet.run"] == record.run_id
    assert attributes["MessageRetentionPeriod"] == "1209600"
    assert attributes["ApproximateNumberOfMessages"] == "1"


def test_a_service_that_dcp_left_is_adopted_onto_this_runs_machines(world: World) -> None:
    ecs = world.client("ecs")
    ecs.create_cluster(clusterName="lab")
    old = ecs.register_task_definition(
        family="AppTask",
        containerDefinitions=[{"name": "App", "image": "old", "memory": 100}],
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(cluster="lab", serviceName="AppService", taskDefinition=old, desiredCount=0)
    with pytest.raises(ConflictError, match="service AppService"):
        set_up_app(world)
    record = set_up_app(world, adopt=True)
    service = ecs.describe_services(cluster="lab", services=["AppService"])["services"][0]
    assert service["taskDefinition"] == record.task_definition != old


def test_a_live_app_with_another_configuration_is_a_conflict_naming_the_run(
    world: World,
) -> None:
    record = set_up_app(world)
    with pytest.raises(ConflictError, match=f"{record.run_id}.*SQS_QUEUE_NAME"):
        set_up_app(world, SQS_QUEUE_NAME="Elsewhere")
    assert "Elsewhere" not in str(world.client("sqs").list_queues())


def test_another_region_is_refused_before_anything_is_made(world: World) -> None:
    with pytest.raises(ConfigError, match="AWS_REGION is 'eu-west-1'"):
        set_up_app(world, AWS_REGION="eu-west-1")
    assert world.client("sqs").list_queues().get("QueueUrls", []) == []


def test_apps_with_colliding_names_never_touch_each_other(world: World) -> None:
    apps = ["App", "App2", "MyApp", "QueueQueue", "Queue", "AppQueue"]
    records = {app: set_up_app(world, app) for app in apps}
    for app, record in records.items():
        assert queue(world, f"{app}Queue")[1]["cellfleet.app"] == app
        assert record.queue_url.endswith(f"/{app}Queue")
        assert set_up_app(world, app) == record
    assert len({record.run_id for record in records.values()}) == len(apps)
    assert sorted(world.keys("live/")) == sorted(f"live/{r.run_id}" for r in records.values())


def test_two_set_ups_at_once_make_one_run(world: World) -> None:
    parsed = parse_keys(config_keys(), "config.py")

    def one(owner: int) -> str:
        try:
            return set_up(world.process(f"p{owner}"), parsed).run_id
        except Exception as error:  # a loser may be told to try again, never make a second run
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(one, range(3)))
    assert len(world.keys("live/")) == 1
    run = world.keys("live/")[0].removeprefix("live/")
    assert run in results
    assert set_up(world.process("last"), parsed).run_id == run


@pytest.mark.parametrize("call", range(0, 40, 5))
def test_a_set_up_that_dies_is_finished_by_the_next(world: World, call: int) -> None:
    parsed = parse_keys(config_keys(), "config.py")
    world.wire.cut_after(call)
    with contextlib.suppress(CellFleetError, *AwsError):
        set_up(world.process("dies"), parsed)
    world.wire.mend()
    record = set_up(world.process("next"), parsed)
    assert world.keys("live/") == [f"live/{record.run_id}"]
    assert world.read("apps/App/config.json")["APP_NAME"] == "App"
    assert queue(world, "AppQueue")[1]["cellfleet.run"] == record.run_id
