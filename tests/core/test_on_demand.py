"""A share of machines at full price, where Spot has none to give, if the user wants that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.actions.machines import CancelFleet, RequestFleet
from chalicelib.core.ailment import MACHINES, WAIT, Ailment
from chalicelib.core.decide import decide
from chalicelib.core.observation import FleetView, InstanceView, Observation
from chalicelib.core.on_demand import decide_on_demand, on_demand_share
from chalicelib.core.run import RunRecord
from tests.core.factories import NOW, account, config, fleet, queue, seen, started

MINUTE = timedelta(minutes=1)


def settings(percent: int = 30, **keys: Any) -> Any:
    return config(CLUSTER_MACHINES=10, ON_DEMAND_PERCENT=percent, **keys)


def run(**fields: Any) -> RunRecord:
    return started(settings(), 1_000, **({"fleets": (fleet(10),)} | fields))


def look(
    minutes: float = 15, *, kind: str = "capacity", spot: int = 0, full: int = 0
) -> Observation:
    """A look at an open request whose trouble was first seen at NOW."""
    now = NOW + minutes * MINUTE
    ailment = Ailment(
        kind=kind, where=MACHINES, course=WAIT, sentence="none to give", since=NOW, seen_at=now
    )
    return seen(
        now=now,
        queue=queue(visible=1_000),
        fleets=(FleetView(fleet_id="sfr-1", state="active", target=10, activity="error"),),
        instances=tuple(
            InstanceView(instance_id=f"i-{n}", state="running", launched_at=NOW, spot=n < spot)
            for n in range(spot + full)
        ),
        ailments=(ailment,),
        account=account(settings()),
    )


@pytest.mark.parametrize(
    ("percent", "sight", "share"),
    [
        (0, look(), 0),
        (30, look(9), 0),
        (30, look(10), 3),
        (30, look(kind="price"), 3),
        (30, look(kind="quota"), 0),
        (5, look(), 1),
        (100, look(), 10),
        (30, look(full=2), 1),
        (30, look(full=5), 0),
        (30, look(spot=5), 3),
    ],
)
def test_the_share_that_may_be_requested(percent: int, sight: Observation, share: int) -> None:
    assert on_demand_share(settings(percent), run(), sight) == share


def test_what_was_requested_already_counts() -> None:
    mixed = fleet(10).model_copy(update={"on_demand": 3})
    assert on_demand_share(settings(), run(fleets=(mixed,)), look()) == 0


def test_the_open_request_is_replaced_and_its_machines_stay() -> None:
    first = decide(run(), settings(), look(spot=4))
    assert CancelFleet(fleet_id="sfr-1", keep_machines=True) in first
    assert not any(isinstance(action, RequestFleet) for action in first)
    sight = look(spot=4)
    over = FleetView(fleet_id="sfr-1", state="cancelled_running", target=10)
    later = seen(**{**vars(sight), "fleets": (over,)})
    (request,) = (a for a in decide(run(), settings(), later) if isinstance(a, RequestFleet))
    asked = request.fleet
    assert asked.before + asked.machines <= 10
    assert asked.on_demand == asked.request["OnDemandTargetCapacity"] == 3
    assert "3 of them at full price" in str(request)


def test_a_request_that_was_filled_is_left_alone() -> None:
    assert decide_on_demand(run(), settings(), look(spot=10)) == ()


def test_it_happens_once() -> None:
    mixed = fleet(10).model_copy(update={"on_demand": 1})
    assert decide_on_demand(run(fleets=(mixed,)), settings(), look()) == ()


def test_without_a_monitor_nobody_would_take_them_back() -> None:
    assert on_demand_share(settings(AUTO_MONITOR="False"), run(), look()) == 0
