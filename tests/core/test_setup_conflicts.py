"""Set-up among what isn't ours: refused by name, or used as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.actions.queues import UpdateQueue
from chalicelib.core.actions.record import Note
from chalicelib.core.observation import ClusterView
from chalicelib.core.plan import Plan
from chalicelib.core.setup import decide_setup, refuse_foreign
from chalicelib.errors import ConflictError, NotReadyError
from tests.core.factories import (
    DEPLOYMENT,
    EARLIER,
    FOREIGN,
    OURS,
    config,
    queue,
    queue_url,
    service,
    unborn,
)
from tests.core.world import World

SETTINGS = config(ECS_CLUSTER="imaging")


def world(**things: Any) -> World:
    return World(record=unborn(SETTINGS), config=SETTINGS, **things)


def plan_of(found: World) -> Plan:
    return decide_setup(found.record, found.config, found.account, found.look_for_setup())


LOOK_ALIKES = pytest.mark.parametrize(
    ("thing", "told"),
    [("queue", "the queue ScreenQueue"), ("service", "the service ScreenService")],
)


@LOOK_ALIKES
def test_a_foreign_look_alike_is_refused_by_name(thing: str, told: str) -> None:
    made = {"queue": queue(owner={}), "service": service(owner={})}
    view = world(**{thing: made[thing]}).look_for_setup()
    with pytest.raises(ConflictError, match=rf"^{told} exists already .*--adopt"):
        refuse_foreign(SETTINGS, view, deployment=DEPLOYMENT)


@pytest.mark.parametrize("owner", [o for o in FOREIGN if o], ids=["another app", "deployment"])
@pytest.mark.parametrize("adopt", [False, True])
@LOOK_ALIKES
def test_what_another_app_has_is_never_adopted(
    thing: str, told: str, adopt: bool, owner: dict[str, str]
) -> None:
    made = {"queue": queue(owner=owner), "service": service(owner=owner)}
    view = world(**{thing: made[thing]}).look_for_setup()
    with pytest.raises(ConflictError, match=rf"^{told} belongs to the app .*choose another"):
        refuse_foreign(SETTINGS, view, deployment=DEPLOYMENT, adopt=adopt)


@pytest.mark.parametrize("owner", FOREIGN, ids=["untagged", "another app", "deployment"])
def test_dead_letters_are_shared_but_no_queue_that_workers_read(owner: dict[str, str]) -> None:
    view = world().look_for_setup()
    shared = replace(queue(owner=owner), attributes={"QueueArn": "arn"})
    refuse_foreign(SETTINGS, replace(view, dead_letter=shared), deployment=DEPLOYMENT)
    read = replace(shared, attributes={"RedrivePolicy": "{}"})
    if owner:
        with pytest.raises(ConflictError, match="SQS_DEAD_LETTER_QUEUE"):
            refuse_foreign(SETTINGS, replace(view, dead_letter=read), deployment=DEPLOYMENT)


def test_both_are_named_at_once() -> None:
    view = world(queue=queue(owner={}), service=service(owner={})).look_for_setup()
    with pytest.raises(
        ConflictError, match=r"^the queue ScreenQueue and the service ScreenService exist already"
    ):
        refuse_foreign(SETTINGS, view, deployment=DEPLOYMENT)


@pytest.mark.parametrize("owner", [OURS, EARLIER])
def test_what_is_ours_is_no_conflict(owner: dict[str, str]) -> None:
    view = world(queue=queue(owner=owner), service=service(owner=owner)).look_for_setup()
    refuse_foreign(SETTINGS, view, deployment=DEPLOYMENT)


def test_shared_things_are_no_conflict() -> None:
    view = world(
        dead_letter=queue("user_DeadMessages", owner={}),
        cluster=ClusterView(name="imaging", services=1, instances=1, tasks=1),
        log_groups={"Screen": 0},
    ).look_for_setup()
    refuse_foreign(SETTINGS, view, deployment=DEPLOYMENT)


@pytest.mark.parametrize("owner", [OURS, {}])
def test_a_short_lived_dead_letter_queue_is_told_of_once_and_left_alone(
    owner: dict[str, str],
) -> None:
    short = queue("user_DeadMessages", owner=owner, attributes={"MessageRetentionPeriod": "345600"})
    found = world(dead_letter=short)
    notes = [action for plan in found.set_up() for action in plan if isinstance(action, Note)]
    assert len(notes) == 1
    assert "user_DeadMessages keeps messages for less than the 14 days" in notes[0].text
    assert found.dead_letter == short
    assert found.record.notes == (notes[0].text,)
    assert plan_of(found) == ()


def test_an_earlier_runs_service_on_its_way_out_is_waited_for() -> None:
    found = world()
    found.set_up()
    found.service = service(owner=EARLIER, status="DRAINING")
    with pytest.raises(NotReadyError, match="the service ScreenService of an earlier run"):
        plan_of(found)
    found.pass_time()
    found.set_up()
    assert found.service is not None
    assert found.service.tags == OURS


@pytest.mark.parametrize("owner", [{}, EARLIER], ids=["adopted", "an earlier run's"])
@pytest.mark.parametrize(("desired", "running"), [(2, 2), (2, 0), (0, 1)])
def test_containers_that_run_for_somebody_else_are_not_taken_over(
    owner: dict[str, str], desired: int, running: int
) -> None:
    found = world(service=service(owner=owner, desired=desired, running=running))
    with pytest.raises(ConflictError, match=f"ScreenService in cluster imaging runs {running} of"):
        found.set_up()
    assert found.history == []


@pytest.mark.parametrize("owner", [EARLIER, *FOREIGN])
def test_an_adopted_queue_that_is_as_it_should_be_only_gets_our_tags(owner: dict[str, str]) -> None:
    found = world()
    found.set_up()
    assert found.queue is not None
    found.queue = replace(found.queue, tags=owner)
    assert plan_of(found) == (
        UpdateQueue(name="ScreenQueue", url=queue_url("ScreenQueue"), attributes={}, tags=OURS),
    )
