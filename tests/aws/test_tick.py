"""The first monitor against the emulator: over when the ledger says so, then nothing is left."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from chalicelib.aws import status as statuses
from chalicelib.aws.errors import AwsError
from chalicelib.contract import DEAD, DONE, FAILED, LedgerEntry
from chalicelib.core.claim import LEASE
from chalicelib.core.run import Phase
from chalicelib.errors import CellFleetError
from chalicelib.handlers.monitor import tick
from chalicelib.operations import control
from chalicelib.operations.tick import Status, tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file
from tests.aws.test_submit import KEY, event, send_event, upload


def finish_jobs(world: World, queue: str, outcomes: dict[str, str] | None = None) -> None:
    """What workers do: take every job, write the ledger, delete the message."""
    for body in world.messages(queue, delete=True):
        ours, well = body["cellfleet"], body["Metadata"].rsplit("=", 1)[1]
        entry = LedgerEntry(
            run=ours["run"],
            minute=f"{world.clock():%Y%m%dT%H%M}",
            submission=ours["submission"],
            job=ours["job"],
            attempt=1,
            outcome=(outcomes or {}).get(well, DONE),
            seconds=7,
        )
        world.put(entry.key(), b"{}")


def status_of(world: World, run_id: str) -> Status:
    status = tick_run(world.process("tick"), run_id)
    assert status is not None
    return status


def remains(world: World, app: str = "App") -> list[str]:
    """Everything that a run of this app must not leave behind."""
    queues = world.client("sqs").list_queues(QueueNamePrefix=app).get("QueueUrls", [])
    ecs, ec2 = world.client("ecs"), world.client("ec2")
    services = [
        arn
        for cluster in ecs.list_clusters()["clusterArns"]
        for arn in ecs.list_services(cluster=cluster)["serviceArns"]
        if arn.endswith(f"/{app}Service")
    ]
    fleets = [
        fleet["SpotFleetRequestId"]
        for fleet in ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
        if fleet["SpotFleetRequestState"] == "active" and _tag(fleet.get("Tags"), app)
    ]
    instances = [
        instance["InstanceId"]
        for reservation in ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] != "terminated" and _tag(instance.get("Tags"), app)
    ]
    templates = [
        template["LaunchTemplateName"]
        for template in ec2.describe_launch_templates()["LaunchTemplates"]
        if template["LaunchTemplateName"] == f"{app}Worker"
    ]
    dashboards = [
        board["DashboardName"]
        for board in world.client("cloudwatch").list_dashboards()["DashboardEntries"]
        if board["DashboardName"] == app
    ]
    families = ecs.list_task_definitions(familyPrefix=f"{app}Task")["taskDefinitionArns"]
    found = (queues, services, fleets, instances, templates, dashboards, families)
    return [str(name) for kind in found for name in kind]


def _tag(tags: Any, app: str) -> bool:
    return {"Key": "cellfleet.app", "Value": app} in (tags or [])


def test_a_run_goes_on_while_a_job_is_missing_and_ends_with_the_last(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue", {"3": FAILED})
    status = status_of(world, run_id)
    assert (status.phase, status.done, status.failures, status.jobs) == (Phase.OPEN, 3, 1, 4)
    # One job is left: of the two machines, one was let go.
    assert len(remains(world)) == 7

    # The failed one was tried again elsewhere, and died.
    record = world.process().runs.load(run_id)
    (submission,) = record.submissions
    done = {LedgerEntry.parse(k).job for k in world.keys("runs/") if LedgerEntry.parse(k)}  # type: ignore[union-attr]
    assert len(done) == 4
    last = next(
        entry
        for entry in map(LedgerEntry.parse, world.keys("runs/"))
        if entry is not None and entry.outcome == FAILED
    )
    dead = LedgerEntry(
        run=run_id,
        minute=last.minute,
        submission=submission,
        job=last.job,
        attempt=2,
        outcome=DEAD,
        cause="input",
    )
    world.put(dead.key(), b"{}")
    status = status_of(world, run_id)
    assert (status.phase, status.done, status.dead) == (Phase.FINISHED, 3, 1)
    assert remains(world) == []
    assert world.keys("live/") == []


def test_duplicate_outcomes_never_end_a_run_early(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue", {"2": FAILED, "3": FAILED})
    for key in world.keys(f"runs/{run_id}/ledger/"):
        entry = LedgerEntry.parse(key)
        if entry is not None and entry.outcome == DONE:  # written by a second attempt, too
            world.put(key.replace(".1.done", ".2.done"), b"{}")
    assert status_of(world, run_id).phase is Phase.OPEN
    assert len(remains(world)) == 8  # two machines among them


def test_a_run_isnt_over_while_a_submission_is_open(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue")

    def open_one(record: Any) -> Any:
        from chalicelib.core.run import Submission

        more = {"0" * 16: Submission(source="s3://b/k", jobs=1)}
        return record.model_copy(update={"submissions": {**record.submissions, **more}})

    world.process().runs.change(run_id, open_one)
    assert status_of(world, run_id).phase is Phase.OPEN


def test_auto_monitor_off_leaves_the_end_to_the_user(world: World) -> None:
    run_id = send_event(
        world, upload(world, job_file(config=config_keys(AUTO_MONITOR="False")))
    ).run_id
    finish_jobs(world, "AppQueue")
    assert status_of(world, run_id).phase is Phase.OPEN
    control.watch(world.process(), "App", cheapest=False)
    assert status_of(world, run_id).phase is Phase.FINISHED


def test_the_dead_letter_queue_results_logs_and_a_foreign_cluster_stay(world: World) -> None:
    world.client("ecs").create_cluster(clusterName="lab")  # the lab's own
    run_id = send_event(world, upload(world)).run_id
    world.put("project/output/P1-0/Image.csv", b"1")
    finish_jobs(world, "AppQueue")
    status_of(world, run_id)
    assert remains(world) == []
    assert "lab_DeadMessages" in str(world.client("sqs").list_queues())
    clusters = world.client("ecs").describe_clusters(clusters=["lab"])["clusters"]
    assert [c["status"] for c in clusters] == ["ACTIVE"]
    assert world.keys("project/output/") == ["project/output/P1-0/Image.csv"]
    assert len(world.client("logs").describe_log_groups()["logGroups"]) == 2


def test_a_dashboard_that_somebody_else_made_is_left_as_it_is(world: World) -> None:
    cloudwatch = world.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName="App", DashboardBody='{"widgets": []}')
    run_id = send_event(world, upload(world)).run_id
    status = status_of(world, run_id)
    assert any("dashboard App" in note for note in status.notes)
    finish_jobs(world, "AppQueue")
    assert status_of(world, run_id).phase is Phase.FINISHED
    assert cloudwatch.get_dashboard(DashboardName="App")["DashboardBody"] == '{"widgets": []}'


def test_task_definitions_that_dcp_left_stay(world: World) -> None:
    ecs = world.client("ecs")
    old = ecs.register_task_definition(
        family="AppTask", containerDefinitions=[{"name": "App", "image": "dcp", "memory": 100}]
    )["taskDefinition"]["taskDefinitionArn"]
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue")
    assert status_of(world, run_id).phase is Phase.FINISHED
    assert ecs.list_task_definitions(familyPrefix="AppTask")["taskDefinitionArns"] == [old]


def test_ending_one_app_leaves_the_others_alone(world: World) -> None:
    apps = ["App", "App2", "MyApp", "AppQueue"]
    runs = {}
    for app in apps:
        key = f"jobs/{app}/plate.json"
        sent = event(key, world.put(key, job_file(config=config_keys(app))))
        runs[app] = send_event(world, sent).run_id
    others = {app: remains(world, app) for app in apps[1:]}
    finish_jobs(world, "AppQueue")
    tick(world.process("tick"))
    assert world.client("sqs").list_queues(QueueNamePrefix="App2")["QueueUrls"]
    for app in apps[1:]:
        assert remains(world, app) == [x for x in others[app] if not x.endswith("/AppQueue")]
        assert len(world.messages(f"{app}Queue")) == 4
    assert sorted(world.keys("live/")) == sorted(f"live/{runs[app]}" for app in apps[1:])


@pytest.mark.parametrize("call", range(0, 60, 4))
def test_a_tick_that_dies_in_the_teardown_is_made_good(world: World, call: int) -> None:
    run_id = send_event(world, upload(world)).run_id
    finish_jobs(world, "AppQueue")
    world.wire.cut_after(call)
    with contextlib.suppress(CellFleetError, *AwsError):
        tick(world.process("dies"))
    world.wire.mend()
    for _ in range(3):
        world.clock.advance(seconds=LEASE.total_seconds() + 1)
        tick(world.process("next"))
    assert remains(world) == []
    assert world.process().runs.load(run_id).phase is Phase.FINISHED
    assert world.keys("live/") == []


def test_two_ticks_at_once_do_one_ticks_work(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    other = world.process("other")
    assert statuses.take(other.store, run_id, "other", world.clock) is not None
    assert tick_run(world.process("tick"), run_id) is None
    world.clock.advance(seconds=LEASE.total_seconds() + 1)
    assert tick_run(world.process("tick"), run_id) is not None


def test_what_aws_refuses_is_told_in_the_status_and_tried_again(world: World) -> None:
    fleet = {
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchSpecifications": [{"ImageId": "ami-0123456789abcdef0"}],
    }
    outcome = send_event(world, upload(world, job_file(config=config_keys(), fleet=fleet)))
    assert outcome.state == "closed"  # the jobs are safe, whatever the fleet file says
    for _ in range(2):
        status = tick_run(world.process("tick"), outcome.run_id)
        assert status is not None
        assert "ami-0123456789abcdef0" in status.health[0]
        assert "leave ImageId out" in status.health[0]


def test_a_broken_run_record_doesnt_keep_other_runs_waiting(world: World) -> None:
    first = send_event(world, upload(world)).run_id
    key = "jobs/Zebra/plate.json"
    sent = event(key, world.put(key, job_file(config=config_keys("Zebra"))))
    second = send_event(world, sent).run_id
    world.put(f"runs/{first}/run.json", b'{"version": 1, "half a rec')
    finish_jobs(world, "ZebraQueue")
    tick(world.process("tick"))
    assert world.process().runs.load(second).phase is Phase.FINISHED
    assert "tick" in world.read(f"runs/{first}/status.json")["errors"][0]


def test_stop_ends_a_run_with_jobs_left(world: World) -> None:
    run_id = send_event(world, upload(world)).run_id
    control.stop(world.process(), "App")
    status = status_of(world, run_id)
    assert status.phase is Phase.FINISHED
    assert world.process().runs.load(run_id).outcome == "stopped"
    assert remains(world) == []


def test_start_cluster_after_submit_requests_the_machines(world: World) -> None:
    from chalicelib.operations.submit import Upload, submit

    version = world.put(KEY, job_file(config=config_keys()))
    quiet = Upload(app="App", name="plate", bucket=BUCKET, key=KEY, version=version, start=False)
    submit(world.process(), quiet)
    ec2 = world.client("ec2")
    assert ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"] == []
    control.start(world.process(), "App", None)
    (fleet,) = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert fleet["SpotFleetRequestConfig"]["TargetCapacity"] == 2
