"""A fleet that ails: looked into only then, waited for, or given up after a bounded time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.actions.machines import (
    CancelFleet,
    DeleteLaunchTemplate,
    RequestFleet,
    TerminateInstances,
)
from chalicelib.core.actions.record import Remember
from chalicelib.core.ailment import (
    CONTAINERS,
    FATAL,
    MACHINES,
    PATIENCE,
    SLOW,
    WAIT,
    Ailment,
    Evidence,
    FleetEvent,
    StoppedTask,
)
from chalicelib.core.decide import decide
from chalicelib.core.health import decide_health, examine, hopeless, restarted
from chalicelib.core.notices import STUCK
from chalicelib.core.observation import FleetView, HostView, InstanceView, Observation, Progress
from chalicelib.core.run import RunRecord
from chalicelib.core.start import decide_start, missing_machines
from chalicelib.core.suspicion import suspect_containers, suspect_fleet
from tests.core.factories import NOW, account, config, fleet, queue, seen, service, started

MINUTE = timedelta(minutes=1)
SETTINGS = config(CLUSTER_MACHINES=10)
NO_ROLE = FleetEvent(at=NOW, type="error", subtype="iamFleetRoleInvalid")
NO_CAPACITY = FleetEvent(
    at=NOW,
    type="information",
    subtype="launchSpecTemporarilyBlacklisted",
    text="There is no Spot capacity available that matches your request.",
)


def run(**fields: Any) -> RunRecord:
    """A run with ten machines requested at NOW."""
    return started(SETTINGS, 40, **({"fleets": (fleet(10),)} | fields))


def view(state: str = "active", activity: str = "") -> FleetView:
    return FleetView(fleet_id="sfr-1", state=state, target=10, activity=activity)


def machines(count: int, launched: datetime = NOW) -> tuple[InstanceView, ...]:
    return tuple(
        InstanceView(instance_id=f"i-{n}", state="running", launched_at=launched)
        for n in range(count)
    )


def at(minutes: float, **fields: Any) -> Observation:
    values: dict[str, Any] = {
        "now": NOW + minutes * MINUTE,
        "fleets": (view(),),
        "queue": queue(visible=40),
    }
    return seen(**(values | fields))


def ailing(course: str, where: str, minutes: float, kind: str = "x", **fields: Any) -> Observation:
    """A look that finds a trouble which has lasted for so long."""
    now = NOW + minutes * MINUTE
    ailment = Ailment(
        kind=kind, where=where, course=course, sentence="it ails", since=NOW, seen_at=now
    )
    return at(minutes, ailments=(ailment,), **fields)


# --- when something looks wrong ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sight", "wrong"),
    [
        (at(2), False),
        (at(4), True),
        (at(4, instances=machines(10)), False),
        (at(4, instances=machines(9)), True),
        (at(4, fleets=(view(activity="fulfilled"),)), False),
        (at(4, fleets=(view("failed"),)), True),
        (at(4, fleets=(view("cancelled_running"),)), False),
        (at(4, fleets=()), False),
        (at(31), False),  # the request has expired; a new one tells
    ],
)
def test_machines_that_should_be_there_are_looked_for(sight: Observation, wrong: bool) -> None:
    assert (suspect_fleet(run(), sight) is not None) == wrong


def test_without_a_request_nothing_is_missing() -> None:
    assert suspect_fleet(run(fleets=()), at(10)) is None
    assert suspect_fleet(run(fleets=(fleet(10, fleet_id=""),)), at(10)) is None


BUSY = queue(visible=10, in_flight=10)


@pytest.mark.parametrize(
    ("sight", "wrong"),
    [
        (at(4, instances=machines(10), service=service(desired=10)), False),
        (at(7, instances=machines(10), service=service(desired=10)), True),
        (at(7, instances=machines(10), service=service(desired=10, running=10)), False),
        (at(7, instances=machines(10), service=service(desired=10, running=9)), True),
        (at(7, instances=machines(2), service=service(desired=10, running=2)), False),
        (at(7, instances=machines(10), service=service(desired=0)), False),
        (at(7, service=service(desired=10)), False),
        # All containers run, and nobody takes a job.
        (at(11, instances=machines(10), service=service(desired=10, running=10)), True),
        (
            at(11, instances=machines(10), service=service(desired=10, running=10), queue=BUSY),
            False,
        ),
        (
            at(
                11,
                instances=machines(10),
                service=service(desired=10, running=10),
                progress=Progress(done=3, per_minute=0.2),
            ),
            False,
        ),
    ],
)
def test_containers_that_should_be_there_are_looked_for(sight: Observation, wrong: bool) -> None:
    assert suspect_containers(SETTINGS, sight) == wrong


def test_machines_that_are_leaving_need_no_containers() -> None:
    sight = at(7, instances=machines(2), service=service(desired=2, running=1))
    assert suspect_containers(SETTINGS, sight)
    leaving = (HostView(arn="a", cluster="default", instance_id="i-0", status="DRAINING"),)
    assert not suspect_containers(SETTINGS, replace(sight, hosts=leaving))


# --- what is remembered ----------------------------------------------------------------------------


def follow(
    sights: list[tuple[Observation, Evidence]], record: RunRecord | None = None
) -> tuple[Ailment, ...]:
    found: tuple[Ailment, ...] = ()
    for sight, evidence in sights:
        found = examine(record or run(), SETTINGS, sight, evidence, found)
    return found


def test_a_trouble_is_as_old_as_its_first_sight() -> None:
    evidence = Evidence(events=(NO_ROLE,))
    (found,) = follow([(at(4), evidence), (at(9), Evidence()), (at(14), evidence)])
    assert (found.kind, found.since, found.seen_at) == (
        "fleet-role",
        NOW + 4 * MINUTE,
        NOW + 14 * MINUTE,
    )


def test_it_is_over_when_looked_for_and_not_found() -> None:
    assert follow([(at(4), Evidence(events=(NO_ROLE,))), (at(5), Evidence(events=()))]) == ()


def test_it_is_over_when_the_machines_have_come() -> None:
    came = at(5, instances=machines(10))
    assert follow([(at(4), Evidence(events=(NO_CAPACITY,))), (came, Evidence())]) == ()


def test_containers_that_crash_are_not_well_between_two_crashes() -> None:
    crash = StoppedTask(at=NOW, code="EssentialContainerExited", exit_code=1)
    lame = at(8, instances=machines(1), service=service(desired=1))
    well = at(12, instances=machines(1), service=service(desired=1, running=1), queue=BUSY)
    looked = (lame, Evidence(tasks=(crash, crash)))
    assert [a.kind for a in follow([looked, (well, Evidence())])] == ["crash"]
    later = replace(well, now=NOW + 20 * MINUTE)
    assert follow([looked, (later, Evidence())]) == ()


def test_machines_without_any_container_are_told_of() -> None:
    sight = at(12, instances=machines(3), service=service(desired=3))
    assert [a.kind for a in follow([(sight, Evidence(tasks=()))])] == ["join"]


def test_a_refused_request_and_a_missing_image_are_troubles() -> None:
    said = "UnauthorizedOperation: You are not authorized to perform this operation."
    refused = run(fleets=(fleet(10, fleet_id="").model_copy(update={"refusal": said}),))
    assert [a.kind for a in follow([(at(1), Evidence())], refused)] == ["permission"]
    problem = at(1, start_problem="ImageId is ami-1: a machine image (AMI) that exists")
    assert [a.kind for a in follow([(problem, Evidence())], run(fleets=()))] == ["image"]


def test_troubles_from_before_a_restart_dont_count() -> None:
    again = run(restarted_at=NOW + 10 * MINUTE)
    assert follow([(at(4), Evidence(events=(NO_ROLE,))), (at(12), Evidence())], again) == ()
    crash = StoppedTask(at=NOW + 5 * MINUTE, code="EssentialContainerExited", exit_code=1)
    lame = at(20, instances=machines(1, NOW + 10 * MINUTE), service=service(desired=1, pending=1))
    assert follow([(lame, Evidence(tasks=(crash, crash)))], again) == ()


def test_what_cannot_be_looked_at_is_forgotten_in_the_end() -> None:
    found = follow([(at(4), Evidence(events=(NO_ROLE,))), (at(4 + 119, fleets=()), Evidence())])
    assert found
    assert (
        follow([(at(4), Evidence(events=(NO_ROLE,))), (at(4 + 121, fleets=()), Evidence())]) == ()
    )


# --- giving up -------------------------------------------------------------------------------------

ENDED = Progress(failures=1)
HERE: dict[str, Any] = {"instances": machines(1)}
RUNS: dict[str, Any] = {"instances": machines(1), "service": service(desired=1, running=1)}


@pytest.mark.parametrize(
    ("sight", "given_up"),
    [
        (ailing(FATAL, MACHINES, 14), False),
        (ailing(FATAL, MACHINES, 15), True),
        (ailing(FATAL, MACHINES, 15, progress=ENDED), True),
        (ailing(FATAL, MACHINES, 99, **HERE), False),  # some machines came: they do the work
        (ailing(SLOW, MACHINES, 59), False),
        (ailing(SLOW, MACHINES, 60), True),
        (ailing(SLOW, MACHINES, 60, progress=ENDED), False),
        (ailing(WAIT, MACHINES, 9_999), False),
        (ailing(FATAL, CONTAINERS, 14, **HERE), False),
        (ailing(FATAL, CONTAINERS, 15, **HERE), True),
        (ailing(FATAL, CONTAINERS, 99, **RUNS), False),
        (ailing(SLOW, CONTAINERS, 59, **HERE), False),
        (ailing(SLOW, CONTAINERS, 60, **HERE), True),
        (ailing(SLOW, CONTAINERS, 60, **HERE, progress=ENDED), False),
        (ailing(SLOW, CONTAINERS, 60, **RUNS), False),
        (ailing(SLOW, CONTAINERS, 60, kind="crash", **RUNS), True),  # up between two crashes
        (ailing(SLOW, CONTAINERS, 60, kind="crash", **RUNS, progress=ENDED), False),
        (ailing(WAIT, CONTAINERS, 9_999, **HERE), False),
    ],
)
def test_a_fleet_is_given_up_only_when_it_cannot_work(sight: Observation, given_up: bool) -> None:
    assert (hopeless(run(), SETTINGS, sight) is not None) == given_up


def test_a_trouble_that_was_not_found_just_now_gives_nothing_up() -> None:
    sight = ailing(FATAL, MACHINES, 40)
    assert hopeless(run(), SETTINGS, replace(sight, now=sight.now + MINUTE)) is None


def test_while_a_place_waits_for_capacity_others_that_cant_work_dont_matter() -> None:
    sight = ailing(FATAL, MACHINES, 40)
    waits = replace(sight.ailments[0], kind="capacity", course=WAIT)
    assert hopeless(run(), SETTINGS, replace(sight, ailments=(*sight.ailments, waits))) is None


def test_a_run_that_nobody_watches_is_left_alone() -> None:
    unwatched = config(AUTO_MONITOR="False")
    assert hopeless(run(), unwatched, ailing(FATAL, MACHINES, 40)) is None
    assert hopeless(run(monitored=True), unwatched, ailing(FATAL, MACHINES, 40))


def given_up() -> RunRecord:
    (remember,) = decide_health(run(), SETTINGS, ailing(FATAL, MACHINES, 15))
    assert isinstance(remember, Remember)
    return run().model_copy(update=dict(remember.fields))


def test_why_it_was_given_up_is_said_in_words() -> None:
    found = given_up()
    assert "after 15 minutes" in found.stuck
    assert "it ails" in found.stuck
    assert RunRecord.from_json(found.to_json()) == found


def test_nothing_of_a_fleet_that_was_given_up_runs_on() -> None:
    sight = at(
        16,
        fleets=(view(), FleetView(fleet_id="sfr-2", state="cancelled_running", target=1)),
        instances=(*machines(2), InstanceView(instance_id="i-9", state="shutting-down")),
        launch_templates=("ScreenWorker",),
        account=account(SETTINGS),
    )
    assert decide(given_up(), SETTINGS, sight) == (
        CancelFleet(fleet_id="sfr-1"),
        TerminateInstances(instance_ids=("i-0", "i-1")),
        DeleteLaunchTemplate(name="ScreenWorker"),
    )


def test_nothing_is_requested_while_it_is_given_up() -> None:
    found = given_up().model_copy(update={"fleets": (fleet(10, fleet_id=""),)})
    sight = at(60, account=account(SETTINGS), fleets=())
    assert missing_machines(found, SETTINGS, sight) == 0
    assert decide_start(found, SETTINGS, sight) == ()
    assert decide(found, SETTINGS, sight) == ()


def test_starting_again_asks_anew() -> None:
    lost = given_up().model_copy(
        update={"fleets": (fleet(10, fleet_id=""),), "notified": (STUCK, "early-stop")}
    )
    later = NOW + 60 * MINUTE
    found = lost.model_copy(update=restarted(lost, later))
    assert (found.stuck, found.restarted_at, found.notified) == ("", later, ("early-stop",))
    sight = at(60, account=account(SETTINGS), fleets=())
    requests = [a for a in decide(found, SETTINGS, sight) if isinstance(a, RequestFleet)]
    assert [request.fleet.token for request in requests] != ["token-1"]
    assert len(requests) == 1
    assert restarted(run(), later) == {}


def test_every_course_but_waiting_has_its_end() -> None:
    assert set(PATIENCE) == {FATAL, SLOW}
    assert max(PATIENCE.values()) <= timedelta(hours=1)
