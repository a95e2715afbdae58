"""What may be left when a run ends: ours, others', in any state. Strategies for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from chalicelib.core.observation import (
    ClusterView,
    FleetView,
    HostView,
    InstanceView,
    QueueView,
    ServiceView,
)
from chalicelib.core.plan import Action
from chalicelib.core.run import Phase, RunRecord
from tests.core.factories import (
    EARLIER,
    FOREIGN,
    OURS,
    config,
    queue,
    record,
    seen,
    service,
    submission,
    task_arn,
)

SETTINGS = config(ECS_CLUSTER="imaging", CREATE_DASHBOARD="True", CLEAN_DASHBOARD="True")

ANYBODYS = st.sampled_from([OURS, EARLIER, *FOREIGN])
QUEUES = st.none() | st.builds(lambda owner: queue(owner=owner), ANYBODYS)
SERVICES = st.none() | st.builds(
    lambda owner, status, desired: service(owner=owner, status=status, desired=desired),
    ANYBODYS,
    st.sampled_from(["ACTIVE", "DRAINING"]),
    st.integers(0, 3),
)
CLUSTERS = st.none() | st.builds(
    ClusterView,
    name=st.sampled_from(["imaging", "default"]),
    services=st.integers(0, 1),
    instances=st.integers(0, 1),
    tasks=st.integers(0, 1),
    tags=ANYBODYS,
)
STATES = st.sampled_from(["pending", "running", "shutting-down", "stopping", "stopped"])
FLEET_STATES = st.sampled_from(
    ["submitted", "active", "modifying", "cancelled_running", "cancelled_terminating", "failed"]
)
SIGHTS = st.builds(
    seen,
    remains=st.just(True),
    last_things=st.just(True),
    queue=QUEUES,
    service=SERVICES,
    cluster=CLUSTERS,
    instances=st.lists(STATES, max_size=3).map(
        lambda states: tuple(
            InstanceView(instance_id=f"i-{n}", state=state) for n, state in enumerate(states)
        )
    ),
    fleets=st.lists(FLEET_STATES, max_size=2).map(
        lambda states: tuple(
            FleetView(fleet_id=f"sfr-{n}", state=state, target=3) for n, state in enumerate(states)
        )
    ),
    hosts=st.sampled_from(
        [(), (HostView(cluster="imaging", arn="container-instance/1", instance_id="i-1"),)]
    ),
    task_definitions=st.sampled_from([(), (task_arn("ScreenTask"),)]),
    launch_templates=st.sampled_from([(), ("ScreenWorker",)]),
    alarms=st.sampled_from([(), ("Screen_i-0",)]),
    dashboard=st.booleans(),
)


def ending(**fields: Any) -> RunRecord:
    values: dict[str, Any] = {
        "phase": Phase.TEARING_DOWN,
        "outcome": "complete",
        "start": True,
        "submissions": {"5a": submission(10)},
        "dashboard": "drawn",
    }
    return record(SETTINGS, **(values | fields))


def kinds(actions: tuple[Action, ...]) -> set[type[Action]]:
    return {type(action) for action in actions}


def is_ours(thing: QueueView | ServiceView | ClusterView | None) -> bool:
    return thing is not None and dict(thing.tags) in (OURS, EARLIER)
