"""What is asked of EC2 and ECS for a run's machines, and what the user sees of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from chalicelib.core.actions.ecs import UpdateService
from chalicelib.core.actions.machines import CreateLaunchTemplate, RequestFleet
from chalicelib.core.actions.record import Note
from chalicelib.core.actions.watch import PutDashboard, PutFile
from chalicelib.core.config import RunConfig
from chalicelib.core.fleet import REQUEST_VALID
from chalicelib.core.observation import FleetView, Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import CLOCKS_DIFFER, RunRecord
from chalicelib.core.start import decide_start, fleet_token, missing_machines
from tests.core.factories import (
    NOW,
    OURS,
    RUN,
    account,
    config,
    fleet,
    fleet_file,
    machines,
    seen,
    service,
    started,
    submission,
)
from tests.core.world import MINUTE, running

T = TypeVar("T")


def of_kind(found: Plan, kind: type[T]) -> list[T]:
    return [action for action in found if isinstance(action, kind)]


# --- what is asked -------------------------------------------------------------------------------


def test_a_stored_request_that_was_not_answered_is_sent_again_unchanged() -> None:
    settings = config()
    first = running(40)
    first.tick(lambda action: isinstance(action, RequestFleet))
    [stored] = first.record.fleets
    assert stored.fleet_id == ""
    later = NOW + 5 * MINUTE
    found = decide_start(
        first.record, settings, seen(now=later, account=account(settings, "ScreenWorker"))
    )
    assert of_kind(found, RequestFleet) == [RequestFleet(fleet=stored)]


def test_while_one_is_not_answered_nothing_else_is_asked() -> None:
    settings = config(CLUSTER_MACHINES=100)
    stored = fleet(3, fleet_id="")
    run = started(settings, 400, fleets=(stored,))
    found = decide_start(run, settings, seen(account=account(settings, "ScreenWorker")))
    assert of_kind(found, RequestFleet) == [RequestFleet(fleet=stored)]


def test_one_that_was_not_answered_in_time_is_given_up() -> None:
    settings = config()
    run = started(settings, 40, fleets=(fleet(3, fleet_id=""),))
    later = seen(now=NOW + timedelta(hours=1), account=account(settings, "ScreenWorker"))
    [request] = of_kind(decide_start(run, settings, later), RequestFleet)
    assert request.fleet.token == fleet_token(RUN, 2)


def test_machines_of_a_request_whose_answer_was_lost_count() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, fleets=(fleet(10, fleet_id=""),))
    later = seen(now=NOW + timedelta(hours=1), instances=machines(10))
    assert missing_machines(run, settings, later) == 0


def test_tokens_are_the_runs_own_and_fit_ec2() -> None:
    tokens = {fleet_token(run, number) for run in ("App-1", "App-11") for number in range(1, 20)}
    assert len(tokens) == 38
    assert all(len(token) <= 64 and token.isascii() for token in tokens)


def test_the_template_comes_before_the_request_and_only_once() -> None:
    settings = config()
    run = started(settings, 40)
    order = [type(a).__name__ for a in decide_start(run, settings, seen(account=account(settings)))]
    assert order == ["CreateLaunchTemplate", "RequestFleet"]
    again = decide_start(run, settings, seen(account=account(settings, "ScreenWorker")))
    assert [type(action).__name__ for action in again] == ["RequestFleet"]


def test_a_template_that_failed_is_made_good_by_the_next_tick() -> None:
    found = running(40)
    found.tick(lambda action: isinstance(action, CreateLaunchTemplate))
    assert found.fleets == {}
    found.pass_time()
    found.tick()
    found.pass_time()
    assert len(found.instances) == 3


def test_a_template_for_each_kind_of_machine() -> None:
    found = running(40)
    found.remember(fleet_file=fleet_file("several_images"))
    found.tick()
    assert sorted(found.templates) == ["ScreenWorker", "ScreenWorker-2"]
    assert set(map(str, found.templates.values())) == {str(OURS)}
    [asked] = found.record.fleets
    named = [c["LaunchTemplateSpecification"] for c in asked.request["LaunchTemplateConfigs"]]
    assert named == [
        {"LaunchTemplateName": "ScreenWorker", "Version": "1"},
        {"LaunchTemplateName": "ScreenWorker-2", "Version": "1"},
    ]


def test_a_disk_that_had_to_be_raised_is_told_of_once() -> None:
    found = running(40, EBS_VOL_SIZE=22)
    found.tick()
    [note] = [n for n in found.record.notes if "EBS_VOL_SIZE" in n]
    found.remember(submissions={"5b": submission(400)})
    found.pass_time(REQUEST_VALID + CLOCKS_DIFFER)
    plans = found.tick()
    assert not [action for step in plans for action in of_kind(step, Note)]
    assert "machines get 30 GB" in note


def test_machines_carry_the_runs_tags_and_join_its_cluster() -> None:
    settings = config(ECS_CLUSTER="imaging")
    [template] = of_kind(
        decide_start(started(settings, 4), settings, seen(account=account(settings))),
        CreateLaunchTemplate,
    )
    assert template.tags == OURS
    assert {"Key": "cellfleet.run", "Value": RUN} in template.data["TagSpecifications"][0]["Tags"]


# --- containers ----------------------------------------------------------------------------------


def desired(run: RunRecord, settings: RunConfig, found: Observation) -> list[int | None]:
    actions = of_kind(decide_start(run, settings, found), UpdateService)
    assert all(not action.task_definition and not action.constraints for action in actions)
    return [action.desired for action in actions]


@pytest.mark.parametrize(("now", "wanted"), [(0, [20]), (19, [20]), (20, []), (21, []), (40, [])])
def test_containers_are_only_raised_to_all_machines_that_may_come(
    now: int, wanted: list[int]
) -> None:
    settings = config(TASKS_PER_MACHINE=2, CLUSTER_MACHINES=100, MACHINE_TYPE=["m5.4xlarge"])
    run = started(settings, 80, fleets=(fleet(10),))
    found = seen(
        fleets=(FleetView(fleet_id="sfr-1", state="active", target=10),),
        instances=machines(3),
        service=service(desired=now),
    )
    assert desired(run, settings, found) == wanted


@pytest.mark.parametrize("found", [None, service(status="DRAINING")])
def test_a_service_that_is_not_there_is_left_alone(found: Any) -> None:
    settings = config()
    run = started(settings, 4, fleets=(fleet(1),))
    assert desired(run, settings, seen(service=found)) == []


def test_no_container_before_a_fleet_is_answered() -> None:
    settings = config()
    run = started(settings, 4, fleets=(fleet(1, fleet_id=""),))
    assert desired(run, settings, seen()) == []


# --- dashboard and files -------------------------------------------------------------------------


def test_a_dashboard_is_drawn_once_and_again_for_another_fleet() -> None:
    found = running(40, CREATE_DASHBOARD="True", CLUSTER_MACHINES=100)
    found.tick()
    found.pass_time()
    assert list(found.dashboards) == ["Screen"]
    assert found.record.fleets[0].fleet_id in found.dashboards["Screen"]
    assert found.tick() == []
    found.remember(submissions={"5a": submission(80)})
    found.tick()
    assert all(fleet.fleet_id in found.dashboards["Screen"] for fleet in found.record.fleets)
    drawn = [action for action in found.history if isinstance(action, PutDashboard)]
    assert len(drawn) == 2
    assert drawn[0].tags == OURS


def test_no_dashboard_unless_it_is_wanted() -> None:
    found = running(40, CREATE_DASHBOARD="False")
    found.tick()
    assert found.dashboards == {}


def test_a_dashboard_that_failed_is_drawn_by_the_next_tick() -> None:
    found = running(40, CREATE_DASHBOARD="True")
    found.tick(lambda action: isinstance(action, PutDashboard))
    found.tick()
    assert list(found.dashboards) == ["Screen"]


def test_the_files_that_dcps_tools_look_for_are_written_once() -> None:
    found = running(40)
    found.tick()
    assert sorted(found.files) == [
        "imaging-core/ecsconfigs/Screen_ecs.config",
        "imaging-core/monitors/ScreenSpotFleetRequestId.json",
    ]
    monitor = json.loads(found.files["imaging-core/monitors/ScreenSpotFleetRequestId.json"])
    assert monitor["MONITOR_FLEET_ID"] == found.record.fleets[0].fleet_id
    assert "ECS_CLUSTER=default\n" in found.files["imaging-core/ecsconfigs/Screen_ecs.config"]
    found.pass_time()
    found.tick()
    assert len([a for a in found.history if isinstance(a, PutFile)]) == 2


def test_files_that_failed_are_written_by_the_next_tick() -> None:
    found = running(40)
    found.tick(lambda action: isinstance(action, PutFile))
    found.tick()
    assert len(found.files) == 2
