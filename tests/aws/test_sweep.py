"""The hourly sweep against the emulator: what is left over goes, and nothing else is touched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.core import naming
from chalicelib.core.run import Phase
from chalicelib.core.sweep import Kind
from chalicelib.handlers.monitor import tick
from chalicelib.handlers.sweep import sweep as handle
from chalicelib.operations.sweep import Report, sweep
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import event, send_event
from tests.aws.test_tick import finish_jobs, remains


@pytest.fixture(autouse=True)
def _today(world: World) -> None:
    """What AWS makes, it dates by its own clock."""
    world.clock.moment = datetime.now(UTC)


def live_run(world: World, app: str = "App") -> str:
    key = f"jobs/{app}/plate.json"
    sent = event(key, world.put(key, job_file(config=config_keys(app))))
    return send_event(world, sent).run_id


def finish(world: World, run_id: str) -> None:
    app = naming.app_of(run_id)
    finish_jobs(world, f"{app}Queue")
    tick_run(world.process("tick"), run_id)
    assert world.process().runs.load(run_id).phase is Phase.FINISHED


def orphan(world: World, run_id: str) -> None:
    """The run is declared finished while all of it still stands."""

    def end(record: Any) -> Any:
        return record.model_copy(update={"phase": Phase.FINISHED, "ended_at": world.clock()})

    world.process().runs.change(run_id, end)
    world.process().runs.forget(run_id)


def clean(world: World, *, dry_run: bool = False, lost: bool = False) -> Report:
    return sweep(world.process("sweep"), dry_run=dry_run, lost=lost)


def removed(report: Report) -> set[Kind]:
    return {verdict.thing.kind for verdict in report.verdicts if verdict.action is not None}


def test_whatever_a_finished_run_left_goes_in_two_sweeps(world: World) -> None:
    run_id = live_run(world)
    orphan(world, run_id)
    tags = naming.tags(app="App", run_id=run_id, deployment=BUCKET)
    world.client("ecs").create_cluster(
        clusterName="spare", tags=[{"key": key, "value": tags[key]} for key in tags]
    )
    before = remains(world)
    assert len(before) == 8
    assert removed(clean(world)) == set()  # too early
    world.clock.advance(minutes=40)
    report = clean(world, dry_run=True)
    assert removed(report) == set(Kind) - {Kind.ALARM, Kind.QUEUE, Kind.CLUSTER}
    assert remains(world) == before  # nothing was done
    report = clean(world)
    assert report.problems == []
    assert removed(report) >= {Kind.MACHINE, Kind.FLEET, Kind.SERVICE}
    report = clean(world)
    # The emulator counts the tasks of a deleted service for ever: "lab" stays in use.
    assert [v.thing.name for v in report.verdicts if v.action] == ["AppQueue", "spare"]
    assert remains(world) == []
    assert clean(world).verdicts == [
        verdict for verdict in clean(world).verdicts if verdict.action is None
    ]
    assert "lab_DeadMessages" in str(world.client("sqs").list_queues())
    assert len(world.client("logs").describe_log_groups()["logGroups"]) == 2


def test_live_runs_and_others_things_stay(world: World) -> None:
    ours, other = live_run(world), live_run(world, "Other")
    foreign = world.client("sqs").create_queue(
        QueueName="TheirQueue", tags={"cellfleet.deployment": "theirs", "cellfleet.run": ours}
    )["QueueUrl"]
    orphan(world, ours)
    others = remains(world, "Other")
    world.clock.advance(hours=2)
    clean(world)
    clean(world)
    assert remains(world) == []
    assert remains(world, "Other") == others
    assert world.process().runs.load(other).phase is Phase.OPEN
    assert foreign in world.client("sqs").list_queues()["QueueUrls"]


def test_a_later_run_of_the_same_app_keeps_what_it_shares(world: World) -> None:
    first = live_run(world)
    finish(world, first)
    world.clock.advance(hours=1)
    second = live_run(world)
    assert second != first
    standing = remains(world)
    # A machine that the first run's fleet brought late.
    tags = naming.tags(app="App", run_id=first, deployment=BUCKET)
    late = world.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["Instances"][0]["InstanceId"]
    world.clock.advance(hours=1)
    report = clean(world)
    assert [v.thing.name for v in report.verdicts if v.action is not None] == [late]
    assert remains(world) == standing


@pytest.mark.parametrize("body", [None, b"{", b'{"phase": "later-than-we-know"}'])
def test_a_run_without_a_record_loses_its_machines_and_the_rest_is_shown(
    world: World, body: bytes | None
) -> None:
    run_id = live_run(world)
    key = f"runs/{run_id}/run.json"
    if body is None:
        world.client("s3").delete_object(Bucket=BUCKET, Key=key)
    else:
        world.put(key, body)
    world.clock.advance(hours=5)
    assert removed(clean(world)) == set()
    world.clock.advance(hours=2)
    report = clean(world)
    assert removed(report) == {Kind.MACHINE}  # the emulator doesn't tell a fleet's age
    shown = {v.thing.kind: v.reason for v in report.verdicts if v.action is None}
    assert "--lost" in shown[Kind.SERVICE]
    clean(world, lost=True)
    clean(world, lost=True)
    assert remains(world) == []


def test_untagged_namesakes_are_shown_and_left(world: World) -> None:
    finish(world, live_run(world))
    world.clock.advance(hours=1)
    world.client("sqs").create_queue(QueueName="AppQueue")
    world.client("cloudwatch").put_dashboard(DashboardName="App", DashboardBody="{}")
    report = clean(world, lost=True)
    assert removed(report) == set()
    assert {v.thing.kind for v in report.verdicts} >= {Kind.QUEUE, Kind.DASHBOARD}
    assert all("left alone" in v.reason for v in report.verdicts if not v.thing.ours)
    assert world.client("sqs").get_queue_url(QueueName="AppQueue")


def test_alarms_of_gone_machines_that_a_run_lists_go(world: World) -> None:
    run_id = live_run(world)
    finish(world, run_id)
    mine, other = "i-0123456789abcdef0", "i-0fedcba9876543210"
    status = world.read(f"runs/{run_id}/status.json")
    status["memory"]["machines"] = [mine]
    world.put(f"runs/{run_id}/status.json", status)
    names = [f"App_{mine}", f"App_{other}", f"App2_{mine}", f"App_{mine}_mine"]
    for name in names:
        world.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="CPUUtilization",
            Namespace="AWS/EC2",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=15,
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
        )
    world.clock.advance(hours=1)
    report = clean(world)
    assert [v.thing.name for v in report.verdicts if v.action is not None] == [f"App_{mine}"]
    left = world.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert sorted(alarm["AlarmName"] for alarm in left) == sorted(names[1:])


def test_the_index_of_live_runs_is_mended(world: World) -> None:
    run_id = live_run(world)
    world.client("s3").delete_object(Bucket=BUCKET, Key=f"live/{run_id}")
    world.put("live/App-20260101T0000000000", b"")  # its set-up died
    report = clean(world)
    assert world.keys("live/") == ["live/App-20260101T0000000000", f"live/{run_id}"]
    world.clock.advance(hours=2)
    report = clean(world)
    assert any("no record" in told for told in report.mended)
    assert world.keys("live/") == [f"live/{run_id}"]


def test_one_parts_trouble_doesnt_stop_the_others(world: World) -> None:
    orphan(world, live_run(world))
    world.clock.advance(hours=1)
    world.wire.refuse("ResourceGroupsTaggingAPI_20170126.GetResources", "AccessDenied", "no")
    report = clean(world)
    assert any("by their tags" in told for told in report.problems)
    assert removed(report) >= {Kind.MACHINE, Kind.FLEET}
    assert world.read("sweep.json")["problems"]


# --- job files whose event was lost ----------------------------------------------------------------


def test_a_job_file_whose_event_was_lost_is_taken(world: World) -> None:
    clean(world)  # the first sweep ever
    world.put("jobs/App/plate.json", job_file(config=config_keys()))
    assert clean(world).mended == []  # its event may still come
    world.clock.advance(minutes=20)
    assert len(clean(world, dry_run=True).mended) == 1
    assert world.keys("runs/pending/") == []
    (told,) = clean(world).mended
    assert "jobs/App/plate.json" in told
    tick(world.process("tick"))
    assert len(world.messages("AppQueue")) == 4
    assert clean(world).mended == []


@pytest.mark.parametrize("versions", ["Enabled", "Suspended"])
def test_job_files_that_were_taken_or_refused_are_left(world: World, versions: str) -> None:
    world.client("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": versions}
    )
    clean(world)
    for app, body in (("App", job_file(config=config_keys())), ("Bad", {"groups": 1})):
        key = f"jobs/{app}/plate.json"
        version = world.put(key, body)
        send_event(world, event(key, "" if version == "null" else version, "0055AED6DCD90281E5"))
    world.clock.advance(minutes=20)
    assert clean(world).mended == []
    assert world.keys("runs/pending/") == []


def test_without_versions_a_lost_event_is_still_noticed(world: World) -> None:
    world.client("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
    )
    clean(world)
    world.put("jobs/App/plate.json", job_file(config=config_keys()))
    world.clock.advance(minutes=20)
    assert len(clean(world).mended) == 1
    tick(world.process("tick"))
    assert len(world.messages("AppQueue")) == 4
    assert clean(world).mended == []


def test_what_lay_there_before_the_first_sweep_is_nobodys_business(world: World) -> None:
    world.put("jobs/App/old.json", job_file(config=config_keys()))
    world.clock.advance(hours=2)
    assert clean(world).mended == []
    world.clock.advance(hours=2)
    assert clean(world).mended == []


def test_the_hourly_handler_says_what_it_did(world: World) -> None:
    orphan(world, live_run(world))
    world.clock.advance(hours=1)
    assert handle(world.process("sweep"))["removed"] >= 5
    assert json.dumps(world.read("sweep.json")["removed"]).count("its run ended at") >= 5
