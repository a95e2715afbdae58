"""What a resumed submission must never do: mix two files, run twice, revive, or wait for ever."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from chalicelib.aws import send
from chalicelib.aws.errors import AwsError
from chalicelib.core import keys
from chalicelib.core.claim import LEASE
from chalicelib.core.config import parse_keys
from chalicelib.core.run import Phase
from chalicelib.errors import CellFleetError, ConfigError, NotReadyError
from chalicelib.handlers.monitor import tick
from chalicelib.handlers.submit import on_job_file
from chalicelib.operations import control
from chalicelib.operations.resume import resume_all
from chalicelib.operations.setup import set_up
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import KEY, event, send_event, upload, wells
from tests.aws.test_tick import finish_jobs, remains

PLAIN = "without-versions"


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "WINDOW", 10)


def plain_upload(world: World, body: Any, sequencer: str) -> dict[str, Any]:
    """An upload into a bucket that keeps no versions; S3's event for it."""
    s3 = world.client("s3")
    if PLAIN not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=PLAIN)
    world.put(KEY, body, bucket=PLAIN)
    sent = event(KEY, sequencer=sequencer)
    stored = sent["Records"][0]["s3"]
    stored["bucket"]["name"] = PLAIN
    stored["object"]["eTag"] = s3.head_object(Bucket=PLAIN, Key=KEY)["ETag"].strip('"')
    return sent


def dies(world: World, sent: dict[str, Any], operation: str, times: int) -> None:
    world.wire.cut_at(operation, times)
    with contextlib.suppress(CellFleetError, *AwsError):
        on_job_file(world.process("dies"), sent)
    world.wire.mend()
    world.clock.advance(seconds=LEASE.total_seconds() + 1)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("groups", [12, 35])
def test_a_file_that_was_replaced_while_it_was_sent_is_not_mixed_with_the_new_one(
    world: World, groups: int
) -> None:
    first = plain_upload(world, job_file(25, config=config_keys()), "01")
    dies(world, first, "AmazonSQS.SendMessageBatch", 2)
    sent_before = len(world.messages("AppQueue"))
    second = plain_upload(world, job_file(groups, config=config_keys()), "02")
    list(resume_all(world.process("tick")))
    assert world.messages("AppQueue") == []  # nothing more of the old one, nothing of the new yet
    assert 0 < sent_before < 25
    assert on_job_file(world.process(), second)[0].jobs == groups
    assert wells(world.messages("AppQueue")).total() == groups
    record = world.process().runs.latest("App")
    assert record is not None
    assert record.closed
    assert any("was replaced" in note for note in record.notes)


@pytest.mark.usefixtures("small_windows")
def test_a_file_that_was_deleted_while_it_was_sent_doesnt_keep_its_run_open(world: World) -> None:
    sent = plain_upload(world, job_file(25, config=config_keys()), "01")
    dies(world, sent, "AmazonSQS.SendMessageBatch", 2)
    world.client("s3").delete_object(Bucket=PLAIN, Key=KEY)
    assert [o.state for o in resume_all(world.process("tick"))] == ["refused"]
    assert "is gone" in world.read("refused/App/plate.json")["problems"][0]
    finish_jobs(world, "AppQueue")
    run_id = world.keys("live/")[0].removeprefix("live/")
    tick_run(world.process("tick"), run_id)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    assert remains(world) == []


def test_a_late_event_of_a_replaced_file_runs_nothing(world: World) -> None:
    first = plain_upload(world, job_file(3, config=config_keys()), "01")
    second = plain_upload(world, job_file(5, config=config_keys()), "02")
    assert on_job_file(world.process(), second)[0].state == "closed"
    assert on_job_file(world.process(), first)[0].state == "over"
    assert wells(world.messages("AppQueue")).total() == 5


def test_a_version_called_null_is_none(world: World) -> None:
    states = []
    for sequencer in ("01", "02"):
        sent = plain_upload(world, job_file(config=config_keys()), sequencer)
        sent["Records"][0]["s3"]["object"]["versionId"] = "null"
        world.client("s3")
        states.append(on_job_file(world.process(), sent)[0].state)
    assert states == ["closed", "closed"]


@pytest.mark.parametrize("last_calls", [1, 2, 3])
def test_a_submission_that_died_while_closing_never_runs_again(
    world: World, last_calls: int
) -> None:
    sent = upload(world)
    before = world.wire.requests
    other = event("jobs/Twin/plate.json", world.put("jobs/Twin/plate.json", job_file(
        config=config_keys("Twin"))))  # fmt: skip
    send_event(world, other)
    calls = world.wire.requests - before - 1
    world.wire.cut_after(calls - last_calls)
    with contextlib.suppress(CellFleetError, *AwsError):
        send_event(world, sent, "dies")
    world.wire.mend()
    finish_jobs(world, "AppQueue")
    run_id = next(k for k in world.keys("live/") if "/App-" in k).removeprefix("live/")
    tick_run(world.process("tick"), run_id)
    world.clock.advance(minutes=5)
    for _ in range(2):
        tick(world.process("tick"))
    apps = [k for k in world.keys("live/") if "/App-" in k]
    assert apps == []
    assert remains(world) == []


@pytest.mark.parametrize("step", ["RegisterTaskDefinition", "CreateService"])
def test_a_set_up_that_died_half_way_is_finished_before_jobs_are_taken(
    world: World, step: str
) -> None:
    target = f"AmazonEC2ContainerServiceV20141113.{step}"
    world.wire.cut_at(target)
    with contextlib.suppress(CellFleetError, *AwsError):
        set_up(world.process("dies"), parse_keys(config_keys(), "config.py"))
    world.wire.mend()
    outcome = send_event(world, upload(world, job_file()))
    assert outcome.state == "closed"
    service = world.client("ecs").describe_services(cluster="lab", services=["AppService"])
    assert service["services"][0]["desiredCount"] == 2


def test_a_service_that_was_deleted_by_hand_is_made_again(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    world.client("ecs").delete_service(cluster="lab", service="AppService", force=True)
    for _ in range(2):
        tick_run(world.process("tick"), run_id)
    service = world.client("ecs").describe_services(cluster="lab", services=["AppService"])
    assert [s["status"] for s in service["services"]][-1] == "ACTIVE"
    assert service["services"][-1]["desiredCount"] == 2


def test_a_new_run_waits_until_sqs_frees_the_queues_name(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue")
    tick_run(world.process("tick"), run_id)
    waiting = world.process(queue_name_seconds=60.0)
    world.clock.advance(seconds=20)
    again = upload(world, job_file(2))
    assert on_job_file(waiting, again)[0].state == "waiting"
    with pytest.raises(NotReadyError, match="in 40 seconds"):
        set_up(waiting, parse_keys(config_keys(), "config.py"))
    assert world.client("sqs").list_queues(QueueNamePrefix="App").get("QueueUrls", []) == []
    world.clock.advance(seconds=41)
    assert [o.state for o in resume_all(waiting)] == ["closed"]


def test_a_foreign_launch_template_is_never_launched_from(world: World) -> None:
    ec2 = world.client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName="AppWorker", LaunchTemplateData={"ImageId": "ami-0123456789abcdef0"}
    )
    run_id = send_event(world, upload(world)).run_id
    for _ in range(2):
        status = tick_run(world.process("tick"), run_id)
        assert status is not None
        assert "create launch template AppWorker" in status.errors[0]
    assert ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []
    control.stop(world.process(), "App")
    tick_run(world.process("tick"), run_id)
    names = [t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]]
    assert names == ["AppWorker"]


def test_logs_that_are_kept_longer_are_not_cut(world: World) -> None:
    logs = world.client("logs")
    logs.create_log_group(logGroupName="App")
    logs.put_retention_policy(logGroupName="App", retentionInDays=3653)
    send_event(world, upload(world))
    kept = {
        g["logGroupName"]: g["retentionInDays"] for g in logs.describe_log_groups()["logGroups"]
    }
    assert kept == {"App": 3653, "App_perInstance": 60}


@pytest.mark.parametrize("call", range(14, 40, 3))
def test_a_run_stopped_in_a_set_up_that_died_leaves_nothing(world: World, call: int) -> None:
    world.wire.cut_after(call)
    with contextlib.suppress(CellFleetError, *AwsError):
        set_up(world.process("dies"), parse_keys(config_keys(), "config.py"))
    world.wire.mend()
    record = world.process().runs.latest("App")
    if record is None:
        return
    control.stop(world.process(), "App")
    for _ in range(3):
        tick_run(world.process("tick"), record.run_id)
    assert remains(world) == []
    assert world.process().runs.load(record.run_id).phase is Phase.FINISHED


def test_a_worker_without_a_role_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="CELLFLEET_TASK_ROLE"):
        set_up(world.process(task_role=""), parse_keys(config_keys(), "config.py"))
    assert world.keys() == []


def test_a_bad_fleet_file_can_be_replaced_by_a_good_one(world: World) -> None:
    bad = {
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [{"ImageId": "ami-0123456789abcdef0"}],
    }
    send_event(world, upload(world, job_file(config=config_keys(), fleet=bad)))
    good = {**bad, "LaunchSpecifications": [{"EbsOptimized": True}]}
    status = control.start(world.process(), "App", good)
    assert status is not None
    assert status.errors == ()
    (fleet,) = world.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert fleet["SpotFleetRequestState"] == "active"


def test_a_run_whose_record_was_lost_gets_its_job_files_back_from_their_claims(
    world: World,
) -> None:
    first = send_event(world, upload(world, job_file(4, config=config_keys())))
    world.client("s3").delete_object(Bucket=BUCKET, Key=keys.run_record(first.run_id))

    again = job_file(2, config=config_keys(), output="project/again")
    second = send_event(world, upload(world, again, "jobs/App/again.json"), "second")
    assert second.run_id == first.run_id, "messages and machines bear this id"
    record = world.process().runs.load(first.run_id)
    jobs = {name: (found.jobs, found.closed) for name, found in record.submissions.items()}
    assert jobs == {first.submission: (4, True), second.submission: (2, True)}
    assert "was lost and made anew" in " ".join(record.notes)
    assert len(world.messages("AppQueue")) == 6
