"""Set-up: the same end, whatever stands there already; only what differs is changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.actions.ecs import RegisterTaskDefinition, TagService, UpdateService
from chalicelib.core.actions.queues import UpdateQueue
from chalicelib.core.actions.watch import CreateLogGroup
from chalicelib.core.observation import ClusterView, QueueView, ServiceView
from chalicelib.core.plan import Action, Plan
from chalicelib.core.setup import decide_setup
from tests.core.factories import (
    EARLIER,
    FOREIGN,
    OURS,
    PREPARED,
    RUN,
    config,
    queue,
    queue_arn,
    queue_url,
    service,
    task_arn,
    unborn,
)
from tests.core.world import World

FORTNIGHT = str(14 * 24 * 3600)
SETTINGS = config(ECS_CLUSTER="imaging", SQS_MESSAGE_VISIBILITY=900, JOB_RETRIES=3)
WANTED = {
    "MessageRetentionPeriod": FORTNIGHT,
    "VisibilityTimeout": "900",
    "MaximumMessageSize": "262144",
    "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": queue_arn("user_DeadMessages"), "maxReceiveCount": 3}
    ),
}


def world(**things: Any) -> World:
    return World(record=unborn(SETTINGS), config=SETTINGS, **things)


def plan_of(found: World) -> Plan:
    return decide_setup(found.record, found.config, found.account, found.look_for_setup())


def kinds(plan: Plan) -> list[type[Action]]:
    return [type(action) for action in plan]


def set_up(**keys: Any) -> World:
    """A world after set-up; keys of its configuration are DCP's."""
    settings = config(**keys)
    found = World(record=unborn(settings), config=settings)
    found.set_up()
    return found


def built(found: World) -> dict[str, Any]:
    """What set-up is there to bring about."""
    assert found.queue is not None
    assert found.cluster is not None
    assert found.service is not None
    assert found.dead_letter is not None
    return {
        "queue": {name: found.queue.attributes.get(name) for name in WANTED},
        "queue's tags": found.queue.tags,
        "log groups": found.log_groups,
        "service runs ours": found.service.task_definition == found.record.task_definition,
        "service": dict(found.service.tags),
        "machines": found.constraints,
        "cluster": found.cluster.name,
        "urls": (found.record.queue_url, found.record.dead_letter_url),
        "containers": (found.record.task_definition != "", found.record.task_digest),
    }


# --- from nothing --------------------------------------------------------------------------------


def test_from_nothing() -> None:
    found = world()
    found.set_up()
    assert found.queue is not None
    assert found.dead_letter is not None
    assert found.cluster is not None
    assert found.service is not None
    assert found.queue.attributes == WANTED
    assert found.dead_letter.attributes == {"MessageRetentionPeriod": FORTNIGHT}
    assert found.queue.tags == found.dead_letter.tags == found.cluster.tags == OURS
    assert found.service.tags == OURS
    assert (found.service.desired, found.service.task_definition) == (0, task_arn("ScreenTask"))
    assert found.log_groups == {"Screen": 60, "Screen_perInstance": 60}
    assert found.record.queue_url == queue_url("ScreenQueue")
    assert found.record.dead_letter_url == queue_url("user_DeadMessages")


def test_what_needs_another_ones_address_waits_for_it() -> None:
    order = [type(action).__name__ for plan in world().set_up() for action in plan]
    assert order == [
        "CreateLogGroup",
        "CreateLogGroup",
        "CreateCluster",
        "CreateQueue",  # the dead-letter queue, which the queue names
        "CreateQueue",
        "Remember",
        "RegisterTaskDefinition",
        "CreateService",
    ]


def test_a_second_pass_plans_nothing() -> None:
    found = world()
    found.set_up()
    assert plan_of(found) == ()


# --- from anything -------------------------------------------------------------------------------

ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "VisibilityTimeout": st.sampled_from(["30", "900"]),
        "MessageRetentionPeriod": st.sampled_from(["345600", FORTNIGHT]),
        "MaximumMessageSize": st.sampled_from(["1024", "262144"]),
        "RedrivePolicy": st.sampled_from(
            [
                WANTED["RedrivePolicy"],
                '{"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:Other"}',
                '{"maxReceiveCount":"10"}',
            ]
        ),
        "KmsMasterKeyId": st.just("alias/aws/sqs"),
    },
)
TAGS = st.sampled_from([OURS, EARLIER, *FOREIGN])
QUEUES = st.builds(lambda owner, a: queue(owner=owner, attributes=a), TAGS, ATTRIBUTES)
DEAD = st.builds(
    lambda owner, a: queue("user_DeadMessages", owner=owner, attributes=a), TAGS, ATTRIBUTES
)
CLUSTERS = st.builds(
    ClusterView,
    name=st.just("imaging"),
    services=st.integers(0, 2),
    instances=st.integers(0, 2),
    tasks=st.integers(0, 2),
    tags=TAGS,
)
SERVICES = st.builds(
    lambda owner, task: service(owner=owner, task_definition=task),
    TAGS.filter(lambda owner: owner != OURS),
    st.sampled_from([task_arn("ScreenTask", 7), task_arn("Other")]),
)
LOG_GROUPS = st.dictionaries(
    st.sampled_from(["Screen", "Screen_perInstance"]), st.sampled_from([0, 30, 60])
)


@given(
    queue=st.none() | QUEUES,
    dead_letter=st.none() | DEAD,
    cluster=st.none() | CLUSTERS,
    service=st.none() | SERVICES,
    log_groups=LOG_GROUPS,
    failures=st.lists(st.booleans(), max_size=12),
)
def test_whatever_is_there_already_the_end_is_the_same(
    queue: QueueView | None,
    dead_letter: QueueView | None,
    cluster: ClusterView | None,
    service: ServiceView | None,
    log_groups: dict[str, int],
    failures: list[bool],
) -> None:
    """Also what isn't ours, as with --adopt; and whatever fails in between."""
    fresh, found = (
        world(),
        world(
            queue=queue,
            dead_letter=dead_letter,
            cluster=cluster,
            service=service,
            log_groups=log_groups,
        ),
    )
    fresh.set_up()
    found.set_up(lambda _: bool(failures) and failures.pop())
    expected = built(fresh)
    # Logs that are there are kept as long as whoever made them wants.
    expected["log groups"] = {**expected["log groups"], **log_groups}
    assert built(found) == expected
    assert plan_of(found) == ()
    # What may be shared with others is used as it is.
    if dead_letter is not None:
        assert found.dead_letter == dead_letter
    if cluster is not None:
        assert found.cluster == cluster


# --- only what differs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "attributes"),
    [
        ({"SQS_MESSAGE_VISIBILITY": 7200}, {"VisibilityTimeout": "7200"}),
        (
            {"JOB_RETRIES": 5},
            {
                "RedrivePolicy": json.dumps(
                    {"deadLetterTargetArn": queue_arn("user_DeadMessages"), "maxReceiveCount": 5}
                )
            },
        ),
    ],
)
def test_changed_numbers_update_the_queue_by_exactly_them(
    change: dict[str, Any], attributes: dict[str, str]
) -> None:
    found = set_up(SQS_MESSAGE_VISIBILITY=900, JOB_RETRIES=3)
    found.config = config(**({"SQS_MESSAGE_VISIBILITY": 900, "JOB_RETRIES": 3} | change))
    first, *later = found.set_up()
    [update] = [action for action in first if isinstance(action, UpdateQueue)]
    assert update == UpdateQueue(
        name="ScreenQueue", url=queue_url("ScreenQueue"), attributes=attributes, tags=OURS
    )
    # The worker is told the new numbers; nothing else is touched.
    rest = [kind for plan in (first, *later) for kind in kinds(plan) if kind is not UpdateQueue]
    assert set(rest) <= {RegisterTaskDefinition, UpdateService, TagService}
    assert plan_of(found) == ()


def test_a_policy_that_only_is_spelt_differently_is_left_alone() -> None:
    found = set_up(JOB_RETRIES=3)
    assert found.queue is not None
    assert isinstance(found.queue.attributes, dict)
    spelt = json.dumps(
        {"maxReceiveCount": "3", "deadLetterTargetArn": queue_arn("user_DeadMessages")}, indent=2
    )
    found.queue.attributes["RedrivePolicy"] = spelt
    assert plan_of(found) == ()


def test_changed_memory_is_a_new_revision_for_the_idle_service() -> None:
    found = set_up(MEMORY=7000)
    found.config = config(MEMORY=7500)
    first, second = found.set_up()
    assert kinds(first) == [RegisterTaskDefinition]
    assert kinds(second) == [UpdateService, TagService]
    assert found.service is not None
    assert found.service.task_definition == task_arn("ScreenTask", 2)


@pytest.mark.parametrize(("desired", "running"), [(2, 2), (2, 0), (0, 1)])
def test_a_live_services_containers_are_never_changed(desired: int, running: int) -> None:
    found = set_up(MEMORY=7000)
    found.service = service(desired=desired, running=running)
    found.config = config(MEMORY=7500)
    assert plan_of(found) == ()


def test_log_groups_are_made_or_kept_for_sixty_days() -> None:
    plan = plan_of(world(log_groups={"Screen": 0}))
    assert [action for action in plan if isinstance(action, CreateLogGroup)] == [
        CreateLogGroup(name="Screen_perInstance", days=60),
    ]


# --- names ---------------------------------------------------------------------------------------


def test_apps_whose_names_contain_each_other_plan_different_things() -> None:
    planned: list[str] = []
    for app in ("App", "App2", "MyApp", "QueueQueue", "Queue"):
        settings = config(APP_NAME=app, ECS_CLUSTER=app, SQS_DEAD_LETTER_QUEUE=f"{app}_Dead")
        found = World(record=unborn(settings), config=settings, account=PREPARED)
        names = [str(action) for plan in found.set_up() for action in plan]
        assert names == [
            f"create log group {app}, kept for 60 days",
            f"create log group {app}_perInstance, kept for 60 days",
            f"create cluster {app}",
            f"create queue {app}_Dead",
            f"create queue {app}Queue",
            "record dead_letter_url, queue_url",
            f"register task definition {app}Task",
            f"create service {app}Service",
        ]
        planned += [name for name in names if not name.startswith("record")]
    assert len(planned) == len(set(planned))


def test_the_run_is_named_on_everything_that_can_carry_it() -> None:
    plan = [action for found in [world()] for step in found.set_up() for action in step]
    told = [getattr(action, "tags", None) for action in plan if hasattr(action, "tags")]
    assert told == [OURS] * 3
    specs = [action.spec for action in plan if hasattr(action, "spec")]
    wanted = [{"key": key, "value": value} for key, value in OURS.items()]
    assert [spec["tags"] for spec in specs] == [wanted, wanted]
    assert RUN in json.dumps(specs)
