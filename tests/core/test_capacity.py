"""Which machines count for which request, and what a request may still bring."""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.capacity import capacity, launched, outstanding
from chalicelib.core.observation import FleetView, HostView, InstanceView
from chalicelib.core.run import Fleet
from tests.core.factories import NOW, config, fleet, seen, started

SETTINGS = config(CLUSTER_MACHINES=20)


def machine(number: int, fleet_id: str = "sfr-1") -> InstanceView:
    return InstanceView(instance_id=f"i-{number}", state="running", fleet_id=fleet_id)


def host(number: int, status: str = "ACTIVE") -> HostView:
    return HostView(
        arn=f"host/{number}", cluster="default", instance_id=f"i-{number}", status=status
    )


def maintain(machines: int) -> Fleet:
    asked = fleet(machines, asked=NOW - timedelta(hours=1), valid=timedelta(days=7))
    return asked.model_copy(update={"request": {**asked.request, "Type": "maintain"}})


def test_a_machine_counts_for_the_fleet_that_brought_it() -> None:
    run = started(SETTINGS, 100, fleets=(fleet(3), fleet(2, number=2)))
    views = (machine(0), machine(1, "sfr-2"), machine(2, "sfr-2"))
    assert dict(launched(run, views)) == {"sfr-1": 1, "sfr-2": 2}


def test_one_that_does_not_say_counts_for_the_oldest_that_lacks_some() -> None:
    run = started(SETTINGS, 100, fleets=(fleet(3), fleet(2, number=2)))
    views = (machine(0), *(machine(number, "") for number in range(1, 4)))
    assert dict(launched(run, views)) == {"sfr-1": 3, "sfr-2": 1}


def test_one_of_a_fleet_that_the_record_has_lost_counts_for_none() -> None:
    asked = fleet(3)
    run = started(SETTINGS, 100, fleets=(asked,))
    sight = seen(instances=tuple(machine(number, "sfr-lost") for number in range(3)))
    assert launched(run, sight.instances).get("sfr-1", 0) == 0
    assert outstanding(asked, run, sight) == 3
    # It is there all the same, and works.
    assert len(capacity(run, sight).active) == 3


def test_a_request_brings_each_machine_once() -> None:
    asked = fleet(3)
    run = started(SETTINGS, 100, fleets=(asked,))
    assert outstanding(asked, run, seen(instances=(machine(0),))) == 2
    gone = seen(instances=(machine(0),), launched={"sfr-1": 3})
    assert outstanding(asked, run, gone) == 0


def test_a_maintain_fleet_replaces_what_is_gone_and_what_leaves() -> None:
    asked = maintain(3)
    run = started(SETTINGS, 100, fleets=(asked,))
    views = (machine(0), machine(1), machine(2))
    kept = (FleetView(fleet_id="sfr-1", state="active", target=3),)
    all_work = seen(instances=views, fleets=kept, hosts=tuple(host(n) for n in range(3)))
    assert outstanding(asked, run, all_work) == 0
    hosts = (host(0), host(1), host(2, "DRAINING"))
    one_leaves = seen(instances=views, fleets=kept, hosts=hosts)
    assert outstanding(asked, run, one_leaves) == 1
    assert capacity(run, one_leaves).machines == 3
    one_is_gone = seen(instances=views[:2], fleets=kept, launched={"sfr-1": 3})
    assert outstanding(asked, run, one_is_gone) == 1


def test_a_maintain_fleet_that_was_lowered_brings_nothing_for_what_leaves() -> None:
    asked = maintain(3)
    run = started(SETTINGS, 100, fleets=(asked,))
    lowered = (FleetView(fleet_id="sfr-1", state="active", target=2),)
    views, hosts = (machine(0), machine(1), machine(2)), (host(0), host(1), host(2, "DRAINING"))
    sight = seen(instances=views, fleets=lowered, hosts=hosts)
    assert outstanding(asked, run, sight) == 0
    assert capacity(run, sight).machines == 2
