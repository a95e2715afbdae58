"""Machines for the jobs there are: right-sized, asked for once, never waited for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import plan
from chalicelib.core.config import RunConfig
from chalicelib.core.fleet import REQUEST_VALID, Image
from chalicelib.core.fleet_file import from_settings
from chalicelib.core.observation import Account, FleetView, InstanceView, Observation, Progress
from chalicelib.core.plan import Plan, RequestFleet
from chalicelib.core.run import RunRecord
from chalicelib.core.start import decide_start, fleet_token, missing_machines
from tests.core.factories import (
    ACCOUNT,
    NOW,
    OURS,
    PREPARED,
    RUN,
    TODAYS_IMAGE,
    config,
    fleet,
    fleet_file,
    queue,
    record,
    seen,
    service,
    submission,
    unborn,
)
from tests.core.world import MINUTE, World

T = TypeVar("T")


def account(settings: RunConfig, *templates: str, image: Image = TODAYS_IMAGE) -> Account:
    return Account(
        fleet=from_settings(settings, PREPARED, account=ACCOUNT),
        images={"": image},
        launch_templates=templates,
    )


def started(settings: RunConfig, jobs: int, **fields: Any) -> RunRecord:
    values: dict[str, Any] = {"start": True, "submissions": {"5a": submission(jobs)}}
    return record(settings, **(values | fields))


def of_kind(found: Plan, kind: type[T]) -> list[T]:
    return [action for action in found if isinstance(action, kind)]


def machines(count: int) -> tuple[InstanceView, ...]:
    return tuple(InstanceView(instance_id=f"i-{n}", state="running") for n in range(count))


def view(number: int = 1, state: str = "active") -> FleetView:
    return FleetView(fleet_id=f"sfr-{number}", state=state, target=1)


def running(jobs: int, **keys: Any) -> World:
    """A world that is set up and wants machines for so many jobs."""
    settings = config(**keys)
    found = World(record=unborn(settings), config=settings)
    found.set_up()
    found.remember(start=True, submissions={"5a": submission(jobs)})
    return found


# --- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "tasks", "cores", "cluster", "wanted"),
    [
        (1, 1, 4, 100, 1),
        (50, 1, 4, 100, 13),
        (10_000, 1, 4, 100, 100),
        (64, 16, 4, 3, 1),
        (65, 16, 4, 3, 2),
        (1_000, 16, 4, 3, 3),
        (3, 1, 1, 3, 3),
    ],
)
def test_as_many_as_have_work(jobs: int, tasks: int, cores: int, cluster: int, wanted: int) -> None:
    settings = config(
        CLUSTER_MACHINES=cluster,
        TASKS_PER_MACHINE=tasks,
        DOCKER_CORES=cores,
        MACHINE_TYPE=["m4.16xlarge"],
        EBS_VOL_SIZE=165,
    )
    found = decide_start(started(settings, jobs), settings, seen(account=account(settings)))
    [request] = of_kind(found, RequestFleet)
    assert request.fleet.machines == request.fleet.request["TargetCapacity"] == wanted


def test_jobs_of_all_submissions_count_also_those_still_to_be_sent() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 0, submissions={"5a": submission(6), "5b": submission(7, closed=False)})
    assert missing_machines(run, settings, seen()) == 4


def test_jobs_that_ended_do_not() -> None:
    settings = config(CLUSTER_MACHINES=100)
    found = seen(progress=Progress(done=90, dead=3))
    assert missing_machines(started(settings, 100), settings, found) == 2
    assert missing_machines(started(settings, 90), settings, found) == 0


def test_without_a_ledger_the_queue_is_counted_once_all_is_sent() -> None:
    settings = config(CLUSTER_MACHINES=100)
    left = seen(queue=queue(visible=5, in_flight=4))
    run = started(settings, 100, worker="dcp")
    assert missing_machines(run, settings, left) == 3
    sending = started(settings, 0, worker="dcp", submissions={"5a": submission(100, closed=False)})
    assert missing_machines(sending, settings, left) == 25


@pytest.mark.parametrize(
    "fields", [{"start": False}, {"queue_url": ""}, {"task_definition": ""}, {"submissions": {}}]
)
def test_none_before_they_are_asked_for_or_could_work(fields: dict[str, Any]) -> None:
    settings = config()
    run = started(settings, 100, **fields)
    assert missing_machines(run, settings, seen()) == 0
    assert decide_start(run, settings, seen(account=account(settings))) == ()


# --- asked for once ------------------------------------------------------------------------------


def test_one_tick_asks_for_all_and_the_next_for_nothing() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.tick()
    [asked] = found.record.fleets
    assert (asked.machines, asked.fleet_id) == (13, f"sfr-{asked.token}")
    assert found.record.started_at == NOW
    assert found.tick() == []
    found.pass_time()
    assert len(found.instances) == 13
    assert found.tick() == []


def test_no_second_request_while_one_is_open() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.capacity = 2
    for _ in range(29):
        found.tick()
        found.pass_time()
    assert len(found.record.fleets) == 1
    assert len(found.instances) == 2


def test_what_an_expired_request_left_open_is_asked_anew_under_the_next_token() -> None:
    found = running(50, CLUSTER_MACHINES=100)
    found.capacity = 2
    found.tick()
    found.pass_time()
    found.pass_time(REQUEST_VALID)
    found.tick()
    first, second = found.record.fleets
    assert (first.machines, second.machines) == (13, 11)
    assert [f.token for f in (first, second)] == [fleet_token(RUN, 1), fleet_token(RUN, 2)]
    assert len({f.token for f in found.record.fleets}) == 2


@pytest.mark.parametrize("state", ["cancelled", "cancelled_running", "failed"])
def test_a_fleet_that_ended_early_is_made_good(state: str) -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, fleets=(fleet(10),))
    looks = seen(fleets=(view(state=state),), instances=machines(4))
    assert missing_machines(run, settings, looks) == 6


def test_more_jobs_top_up_only_what_is_missing() -> None:
    found = running(40, CLUSTER_MACHINES=100)
    found.tick()
    found.pass_time()
    found.remember(submissions={**found.record.submissions, "5b": submission(20)})
    found.tick()
    assert [f.machines for f in found.record.fleets] == [10, 5]
    found.pass_time()
    assert len(found.instances) == 15


def test_a_top_up_after_the_first_request_expired_asks_once() -> None:
    found = running(40, CLUSTER_MACHINES=100)
    found.tick()
    found.pass_time()
    found.pass_time(REQUEST_VALID)
    found.remember(submissions={**found.record.submissions, "5b": submission(40)})
    for _ in range(3):
        found.tick()
        found.pass_time()
    assert [f.machines for f in found.record.fleets] == [10, 10]
    assert len(found.instances) == 20


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("minutes"), st.integers(1, 45)),
        st.tuples(st.just("interrupted"), st.integers(1, 5)),
        st.tuples(st.just("more jobs"), st.integers(1, 60)),
        st.tuples(st.just("capacity"), st.integers(0, 30)),
        st.tuples(st.just("fails"), st.integers(0, 3)),
    ),
    max_size=12,
)


@given(st.integers(1, 100), EVENTS)
def test_however_machines_come_and_go_there_are_never_too_many(
    jobs: int, events: list[tuple[str, int]]
) -> None:
    found = running(jobs, CLUSTER_MACHINES=20)
    for event, number in events:
        failing = iter(range(number if event == "fails" else 0))
        if event == "minutes":
            found.pass_time(number * MINUTE)
        elif event == "interrupted":
            for name in list(found.instances)[:number]:
                del found.instances[name]
        elif event == "more jobs":
            jobs += number
            found.remember(submissions={"5a": submission(jobs)})
        elif event == "capacity":
            found.capacity = number
        found.tick(lambda _, failing=failing: next(failing, None) is not None)  # type: ignore[misc]
        found.pass_time()
        assert len(found.instances) <= min(20, -(-jobs // 4))
    # And there are enough in the end.
    found.capacity = 1000
    for _ in range(4):
        found.pass_time(REQUEST_VALID)
        found.tick()
        found.pass_time()
    assert len(found.instances) == min(20, -(-jobs // 4))


def test_cheapest_wants_one_machine_at_a_time_after_a_quarter_of_an_hour() -> None:
    settings = config(CLUSTER_MACHINES=100)
    run = started(settings, 40, cheapest=True, started_at=NOW)

    def missing(minutes: int, there: int) -> int:
        now = NOW + minutes * MINUTE
        return missing_machines(run, settings, seen(now=now, instances=machines(there)))

    assert missing(15, 0) == 10
    assert missing(16, 0) == 1
    # Those that run are left alone.
    assert missing(16, 7) == 0


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
    found.tick(lambda action: isinstance(action, plan.CreateLaunchTemplate))
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
    found.pass_time(REQUEST_VALID)
    plans = found.tick()
    assert not [action for step in plans for action in of_kind(step, plan.Note)]
    assert "machines get 30 GB" in note


def test_machines_carry_the_runs_tags_and_join_its_cluster() -> None:
    settings = config(ECS_CLUSTER="imaging")
    [template] = of_kind(
        decide_start(started(settings, 4), settings, seen(account=account(settings))),
        plan.CreateLaunchTemplate,
    )
    assert template.tags == OURS
    assert {"Key": "cellfleet.run", "Value": RUN} in template.data["TagSpecifications"][0]["Tags"]


# --- containers ----------------------------------------------------------------------------------


def desired(run: RunRecord, settings: RunConfig, found: Observation) -> list[int | None]:
    actions = of_kind(decide_start(run, settings, found), plan.UpdateService)
    assert all(not action.task_definition and not action.constraints for action in actions)
    return [action.desired for action in actions]


@pytest.mark.parametrize(("now", "wanted"), [(0, [20]), (19, [20]), (20, []), (21, []), (40, [])])
def test_containers_are_only_raised_to_all_machines_that_may_come(
    now: int, wanted: list[int]
) -> None:
    settings = config(TASKS_PER_MACHINE=2, CLUSTER_MACHINES=100, MACHINE_TYPE=["m5.4xlarge"])
    run = started(settings, 80, fleets=(fleet(10),))
    found = seen(fleets=(view(),), instances=machines(3), service=service(desired=now))
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
    drawn = [action for action in found.history if isinstance(action, plan.PutDashboard)]
    assert len(drawn) == 2
    assert drawn[0].tags == OURS


def test_no_dashboard_unless_it_is_wanted() -> None:
    found = running(40, CREATE_DASHBOARD="False")
    found.tick()
    assert found.dashboards == {}


def test_a_dashboard_that_failed_is_drawn_by_the_next_tick() -> None:
    found = running(40, CREATE_DASHBOARD="True")
    found.tick(lambda action: isinstance(action, plan.PutDashboard))
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
    assert len([a for a in found.history if isinstance(a, plan.PutFile)]) == 2


def test_files_that_failed_are_written_by_the_next_tick() -> None:
    found = running(40)
    found.tick(lambda action: isinstance(action, plan.PutFile))
    found.tick()
    assert len(found.files) == 2
