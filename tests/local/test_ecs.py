"""The ECS and EC2 stand-in: services and fleets become real processes, and end as on AWS."""

import json
import logging
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.tools import Site, is_running, until

#: Reports its environment, then waits.
REPORT = ("sh", "-c", "env; sleep 1000")
#: When told to stop, asks the agent, and writes the answer where the host sees it.
FAREWELL = """
import os, signal, sys, urllib.request
from pathlib import Path

host = Path(os.environ["CELLFLEET_HOST_DIR"])

def leave(*_):
    address = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
    (host / "farewell").write_bytes(urllib.request.urlopen(address).read())
    sys.exit()

signal.signal(signal.SIGTERM, leave)
(host / "up").touch()
while True:
    signal.pause()
"""
STUBBORN = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")


def gone(pids: list[int]) -> bool:
    return not any(is_running(pid) for pid in pids)


def protect(task: dict[str, Any], body: Any, site: Site) -> Any:
    """PUT to the agent's endpoint, as a worker does."""
    name = task["taskArn"].rsplit("/", 1)[1]
    request = urllib.request.Request(
        f"{site.aws.agent}/{name}/task-protection/v1/state",
        data=json.dumps(body).encode(),
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["protection"]


class HttpError:
    """`pytest.raises` for HTTP errors, closing their connection."""

    code = 0

    def __enter__(self) -> "HttpError":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert isinstance(error, urllib.error.HTTPError), error
        self.code = error.code
        error.close()
        return True


# --- starting --------------------------------------------------------------------------------


def test_as_many_processes_as_desired_spread_over_the_machines(site: Site) -> None:
    site.open()
    site.fleet("App", 2)
    site.service("App", 4)
    site.step()

    assert [machine["runningTasksCount"] for machine in site.machines()] == [2, 2]
    assert len(site.pids()) == len(site.tasks("App")) == 4
    assert all(is_running(pid) for pid in site.pids())
    described = site.described("App")
    assert (described["runningCount"], described["pendingCount"]) == (4, 0)


def test_a_machine_registers_with_its_attributes(site: Site) -> None:
    site.open()
    site.fleet("App-1", 1)
    site.step()

    (machine,) = site.machines()
    attributes = {pair["name"]: pair["value"] for pair in machine["attributes"]}
    assert attributes["cellfleet.run"] == "App-1"
    assert attributes["ecs.instance-type"] == "m4.xlarge"
    assert machine["status"] == "ACTIVE"
    assert list(site.stand_in.processes()) == [machine["ec2InstanceId"]]


def test_no_more_tasks_than_fit(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 3, memory=7000)  # m4.xlarge: 16 GiB
    site.step()

    assert len(site.pids()) == 2
    described = site.described("App")
    assert described["runningCount"] == 2
    assert "unable to place a task" in described["events"][0]["message"]


def test_two_apps_on_one_cluster_never_share_machines(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.fleet("App2", 1)
    site.service("App", 3)
    site.service("App2", 2)
    site.service("MyApp", 5)  # without machines of its own
    site.step()

    attributes = {
        machine["containerInstanceArn"]: next(
            pair["value"] for pair in machine["attributes"] if pair["name"] == "cellfleet.run"
        )
        for machine in site.machines()
    }
    for app, count in (("App", 3), ("App2", 2), ("MyApp", 0)):
        tasks = site.tasks(app)
        assert len(tasks) == count
        assert all(attributes[task["containerInstanceArn"]] == app for task in tasks)
        own = site.ecs.list_container_instances(filter=f"attribute:cellfleet.run == {app}")
        assert own["containerInstanceArns"] == [arn for arn in attributes if attributes[arn] == app]


def test_a_worker_gets_its_tasks_environment_and_nothing_of_ours(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("CELLFLEET_FLEET_ROLE", "for the control plane only")
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", "/opt/cellprofiler")
    site.open(REPORT)
    site.logs.create_log_group(logGroupName="App_perInstance")
    site.fleet("App", 1)
    site.service("App", 1, log_group="App_perInstance")
    site.step()
    (task,) = site.tasks("App")
    name = task["taskArn"].rsplit("/", 1)[1]

    def lines() -> list[str]:
        site.step()
        stream = f"worker/App/{name}"
        streams = site.logs.describe_log_streams(logGroupName="App_perInstance")["logStreams"]
        if stream not in [item["logStreamName"] for item in streams]:
            return []
        events = site.logs.get_log_events(
            logGroupName="App_perInstance", logStreamName=stream, startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    until(lambda: len(lines()) > 10)
    found = dict(line.split("=", 1) for line in lines())
    assert found["APP_NAME"] == "App"
    assert found["AWS_ENDPOINT_URL"] == site.aws.endpoint
    assert found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert found["CELLFLEET_CELLPROFILER"] == "/opt/cellprofiler"
    assert Path(found["CELLFLEET_ROOT"]).is_dir()
    assert Path(found["CELLFLEET_HOST_DIR"]).is_dir()
    assert found["ECS_AGENT_URI"] == f"{site.aws.agent}/{name}"
    assert not {"AWS_PROFILE", "CELLFLEET_FLEET_ROLE", "CELLFLEET_BUCKET"} & found.keys()


# --- exits -----------------------------------------------------------------------------------


def test_a_worker_that_ends_is_replaced_and_its_folder_removed(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 2)
    site.step()
    (first, second), tasks = site.pids(), site.tasks("App")
    folders = set((site.folder / "tasks").iterdir())

    os.kill(first, signal.SIGTERM)
    until(lambda: gone([first]))
    site.step()

    pids = site.pids()
    assert len(pids) == 2
    assert second in pids
    assert first not in pids
    assert len(folders & set((site.folder / "tasks").iterdir())) == 1
    described = site.ecs.describe_tasks(tasks=[task["taskArn"] for task in tasks])["tasks"]
    stopped = next(task for task in described if task["lastStatus"] == "STOPPED")
    assert stopped["containers"][0]["exitCode"] == 128 + signal.SIGTERM
    assert "exited" in stopped["stoppedReason"]


def test_a_worker_that_fails_at_once_is_not_restarted_in_a_loop(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.open(("sh", "-c", "echo no such queue; exit 3"), restart=1000.0)
    site.fleet("App", 1)
    site.service("App", 1)
    with caplog.at_level(logging.WARNING):
        site.until(lambda: "ended with code 3" in caplog.text)
        for _ in range(5):
            site.step()

    assert "no such queue" in caplog.text
    assert caplog.text.count("ended with code") == 1
    assert site.pids() == []


def test_a_command_that_cannot_run_does_not_hold_up_other_services(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.fleet("App2", 1)
    site.service("App", 1)
    site.ecs.update_service(service="AppService", taskDefinition="AppTask:1")
    site.ecs.deregister_task_definition(taskDefinition="AppTask:1")
    site.ecs.delete_task_definitions(taskDefinitions=["AppTask:1"])
    site.service("App2", 1)
    site.step()

    assert site.tasks("App") == []
    assert len(site.tasks("App2")) == 1
    assert "unable to start" in site.described("App")["events"][0]["message"]


# --- scaling in ------------------------------------------------------------------------------


def test_a_lower_desired_count_stops_tasks(site: Site) -> None:
    site.open()
    site.fleet("App", 2)
    site.service("App", 4)
    site.step()
    before = site.pids()

    site.desire("App", 1)

    assert site.described("App")["runningCount"] == 1
    site.until(lambda: len(site.pids()) == 1)
    assert set(site.pids()) < set(before)
    assert gone([pid for pid in before if pid not in site.pids()])


def test_who_ignores_sigterm_is_killed_when_its_time_to_stop_is_up(site: Site) -> None:
    site.open(STUBBORN, longest_stop=0.0)
    site.fleet("App", 1)
    site.service("App", 1)
    site.step()
    (pid,) = site.pids()

    site.desire("App", 0)

    assert gone([pid])
    assert site.pids() == []


def test_protected_tasks_survive_scale_in_and_draining(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 3)
    site.step()
    chosen = site.tasks("App")[0]
    answer = protect(chosen, {"ProtectionEnabled": True, "ExpiresInMinutes": 5}, site)
    assert answer["ProtectionEnabled"] is True
    assert answer["TaskArn"] == chosen["taskArn"]

    site.desire("App", 0)
    assert [task["taskArn"] for task in site.tasks("App")] == [chosen["taskArn"]]

    (machine,) = site.machines()
    site.ecs.update_container_instances_state(
        containerInstances=[machine["containerInstanceArn"]], status="DRAINING"
    )
    site.step()
    assert [task["taskArn"] for task in site.tasks("App")] == [chosen["taskArn"]]

    assert protect(chosen, {"ProtectionEnabled": False}, site)["ProtectionEnabled"] is False
    site.until(lambda: not site.pids())
    assert site.machines()[0]["runningTasksCount"] == 0


@pytest.mark.parametrize("body", [{}, [], {"ProtectionEnabled": "yes"}])
def test_the_agent_refuses_what_it_cannot_read(site: Site, body: Any) -> None:
    site.open()
    with HttpError() as error:
        protect({"taskArn": "task/none"}, body, site)
    assert error.code == 400


def test_the_agent_knows_only_its_tasks(site: Site) -> None:
    site.open()
    with HttpError() as error:
        protect({"taskArn": "task/none"}, {"ProtectionEnabled": True}, site)
    assert error.code == 404


def test_a_draining_machine_is_emptied_and_gets_no_new_task(site: Site) -> None:
    site.open()
    site.fleet("App", 2)
    site.service("App", 4)
    site.step()
    drained, other = site.machines()

    site.ecs.update_container_instances_state(
        containerInstances=[drained["containerInstanceArn"]], status="DRAINING"
    )
    site.until(lambda: site.stand_in.processes()[drained["ec2InstanceId"]] == [])
    site.step()

    assert len(site.stand_in.processes()[other["ec2InstanceId"]]) == 4
    counts = {machine["ec2InstanceId"]: machine["runningTasksCount"] for machine in site.machines()}
    assert counts == {drained["ec2InstanceId"]: 0, other["ec2InstanceId"]: 4}


def test_a_deleted_service_drains_then_is_inactive_and_unlisted(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 2)
    site.step()
    pids = site.pids()

    site.ecs.delete_service(service="AppService", force=True)
    assert site.described("App")["status"] == "DRAINING"
    site.until(lambda: site.described("App")["status"] == "INACTIVE")

    assert gone(pids)
    assert site.ecs.list_services()["serviceArns"] == []
    with pytest.raises(ClientError, match="not ACTIVE"):
        site.ecs.update_service(service="AppService", desiredCount=1)


def test_a_cluster_in_use_can_not_be_deleted(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 0)
    site.step()

    with pytest.raises(ClientError, match="ClusterContainsContainerInstances"):
        site.ecs.delete_cluster(cluster="default")


# --- machines going --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["terminate", "cancel", "kill"])
def test_a_machine_that_goes_takes_its_workers_and_leaves_the_cluster(site: Site, how: str) -> None:
    site.open(STUBBORN)
    fleet = site.fleet("App", 1)
    site.service("App", 2)
    site.step()
    (machine,), pids = site.machines(), site.pids()
    instance = machine["ec2InstanceId"]
    folder = site.folder / "machines" / instance
    assert folder.is_dir()

    if how == "terminate":
        site.ec2.terminate_instances(InstanceIds=[instance])
        site.ec2.terminate_instances(InstanceIds=[instance])  # twice is no error
    elif how == "cancel":
        site.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet], TerminateInstances=True)
    else:
        site.stand_in.kill(instance)
    site.until(lambda: site.machines() == [])

    assert gone(pids)
    assert site.described("App")["runningCount"] == 0
    assert not folder.exists()
    active = site.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet)["ActiveInstances"]
    assert active == []


def test_an_interruption_gives_notice_and_drains_then_ends_the_machine(site: Site) -> None:
    site.open()
    site.fleet("App", 1)
    site.service("App", 1)
    site.step()
    (machine,) = site.machines()
    instance = machine["ec2InstanceId"]

    site.stand_in.interrupt(instance, seconds=1000)
    notice = json.loads((site.folder / "machines" / instance / "host/spot-notice").read_text())
    assert notice["action"] == "terminate"
    site.until(lambda: not site.pids())
    assert site.machines()[0]["status"] == "DRAINING"

    site.stand_in.interrupt(instance, seconds=0)
    site.until(lambda: not site.machines())
    state = site.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert state["State"]["Name"] == "terminated"


def test_a_repeated_fleet_request_is_the_same_fleet_and_a_cancelled_one_is_known(
    site: Site,
) -> None:
    site.open()
    fleet = site.fleet("App", 1)
    template = site.ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    config = {
        "ClientToken": "once",
        "TargetCapacity": 2,
        "AllocationStrategy": "lowestPrice",
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": [{"InstanceType": "m4.xlarge"}],
            }
        ],
    }
    first = site.ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    again = site.ec2.request_spot_fleet(SpotFleetRequestConfig=config)["SpotFleetRequestId"]
    assert first == again != fleet
    site.step()
    assert len(site.machines()) == 3

    for _ in range(2):  # twice is no error
        site.ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[first], TerminateInstances=True)
    site.until(lambda: len(site.machines()) == 1)
    described = site.ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[first])
    assert described["SpotFleetRequestConfigs"][0]["SpotFleetRequestState"] == "cancelled"


# --- the stand-in itself ---------------------------------------------------------------------


def test_stopping_it_leaves_no_process_however_stubborn(site: Site) -> None:
    site.open(STUBBORN)
    site.fleet("App", 1)
    site.service("App", 2)
    site.step()
    pids = site.pids()
    assert not gone(pids)

    site.stand_in.stop(grace=0.0)

    assert gone(pids)


def test_a_worker_that_is_stopped_can_still_call_the_agent(site: Site) -> None:
    site.open((sys.executable, "-c", FAREWELL), grace=30.0)
    site.fleet("App", 1)
    site.service("App", 1)
    site.step()
    (instance,) = site.stand_in.processes()
    host = site.folder / "machines" / instance / "host"
    until((host / "up").exists)

    site.stand_in.stop(grace=30.0)

    assert json.loads((host / "farewell").read_text())["protection"]["ProtectionEnabled"] is False


def test_an_error_in_one_look_is_logged_and_the_next_look_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.open()
    looks: list[int] = []

    def fail_once() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise RuntimeError("unlucky")

    monkeypatch.setattr(site.stand_in, "step", fail_once)
    with caplog.at_level(logging.ERROR):
        site.stand_in.start()
        until(lambda: len(looks) >= 2)

    assert "unlucky" in caplog.text
    assert site.stand_in.alive
