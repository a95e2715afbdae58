"""Machines leave one by one as a run's work runs out, and none that is at work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from chalicelib.aws.services import Services, utc_now
from chalicelib.handlers.monitor import tick
from tests.e2e.outside import PATIENCE, Outside
from tests.e2e.plates import StandIn, config, job_file, made_up_plate
from tests.e2e.processes import wells_at_work

pytestmark = pytest.mark.timeout(600)

FIRST, LATER = ("A01", "A02", "A03", "A04"), ("B01", "B02")
WELLS = (*FIRST, *LATER)


class Minutes:
    """Ticks by hand, each a minute after the last by the monitor's clock."""

    def __init__(self, outside: Outside):
        self._outside = outside
        self._passed = 0

    def tick(self) -> None:
        self._outside.until(lambda: self._outside.fleet.machines.settled)
        self._passed += 1
        ahead = timedelta(minutes=self._passed)
        tick(replace(Services.from_environment(), now=lambda: utc_now() + ahead))

    def to_the_end(self) -> None:
        """Tick until nothing is left in the account."""
        end = time.monotonic() + PATIENCE
        while self._outside.leftovers():
            assert time.monotonic() < end, self._outside.state()
            self.tick()
            time.sleep(0.2)


@pytest.fixture
def minutes(outside: Outside, stand_in: StandIn) -> Iterator[Minutes]:
    with outside.fleet.dispatcher.by_hand():
        passing = Minutes(outside)
        yield passing
        # Its leases end ahead of time, too: until then, no other tick would end what a test left.
        stand_in.release()
        passing.to_the_end()


def running(outside: Outside) -> set[str]:
    """Machines that are up, as EC2 says."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = outside.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {machine["InstanceId"] for each in found for machine in each["Instances"]}


def draining(outside: Outside) -> set[str]:
    ecs = outside.client("ecs")
    arns = ecs.list_container_instances(cluster="default", status="DRAINING")
    arns = arns["containerInstanceArns"]
    if not arns:
        return set()
    found = ecs.describe_container_instances(cluster="default", containerInstances=arns)
    return {
        host["ec2InstanceId"]
        for host in found["containerInstances"]
        if host["status"] == "DRAINING"
    }


def submit(outside: Outside, app: str, wells: tuple[str, ...], *, machines: int) -> None:
    """A job file whose jobs take an hour, as its user says, one at a time on each machine."""
    for key, body in made_up_plate(app.lower(), WELLS).items():
        outside.put(key, body)
    keys = {"CLUSTER_MACHINES": machines, "DOCKER_CORES": 1, "SQS_MESSAGE_VISIBILITY": 3600}
    job = {**job_file(app.lower(), wells), "config": config(app, outside.bucket, **keys)}
    outside.submit(app, job, "-".join(wells))


def test_machines_leave_when_their_job_is_done_and_no_sooner(
    outside: Outside, stand_in: StandIn, minutes: Minutes
) -> None:
    stand_in.hold(*WELLS)
    submit(outside, "Fewer", WELLS, machines=4)
    first = at_work(outside, 4)
    machines = set(first.values())
    assert len(machines) == 4

    # Two jobs wait: nobody leaves, nor when two others are done and these are taken.
    for _ in range(2):
        minutes.tick()
    assert (running(outside), draining(outside)) == (machines, set())
    stand_in.release(*sorted(first)[:2])
    busy = at_work(outside, 4, *LATER)
    assert set(busy.values()) == machines

    # None waits any more: all but one are to leave, and all are at work.
    for _ in range(3):
        minutes.tick()
    leaving = draining(outside)
    assert len(leaving) == 3
    assert running(outside) == machines

    # As their jobs end they go: one, then both others.
    for ended in (sorted(leaving)[:1], sorted(leaving)[1:]):
        stand_in.release(*(well for well, machine in busy.items() if machine in ended))
        outside.until(partial(empty, outside, ended))
        minutes.tick()
        machines -= set(ended)
        assert running(outside) == machines
        assert set(wells_at_work(outside).values()) == machines

    # The last one ends the run.
    stand_in.release()
    (run,) = outside.runs("Fewer")
    outside.until(lambda: outside.outcomes(run["run_id"])["done"] == len(WELLS))
    minutes.to_the_end()
    assert outside.runs("Fewer")[0]["outcome"] == "complete"
    # Nothing was begun twice, and nothing failed or was sent back.
    assert Counter(stand_in.runs()) == Counter(WELLS)
    assert outside.outcomes(run["run_id"]) == {"done": len(WELLS)}
    results = {f"fewer/output/P1/{well}/Image.csv": 1 for well in WELLS}
    assert outside.versions("fewer/output/") == Counter(results)
    assert len(outside.runs("Fewer")[0]["fleets"]) == 1


def test_a_machine_that_is_to_leave_is_called_back_for_new_jobs(
    outside: Outside, stand_in: StandIn, minutes: Minutes
) -> None:
    stand_in.hold(*WELLS)
    submit(outside, "Back", FIRST[:2], machines=2)
    first = at_work(outside, 2)
    machines = set(first.values())
    for _ in range(4):  # sizing takes a machine for ready when AWS's would be
        minutes.tick()
    leaving = draining(outside)
    assert len(leaving) == 1

    submit(outside, "Back", LATER[:1], machines=2)
    outside.until(lambda: accepted(outside, "Back") == 2)
    minutes.tick()
    assert (running(outside), draining(outside)) == (machines, set())
    (ended,) = (well for well, machine in first.items() if machine in leaving)
    stand_in.release(ended)
    busy = at_work(outside, 2, *LATER[:1])
    assert busy[LATER[0]] in leaving

    stand_in.release()
    (run,) = outside.runs("Back")
    outside.until(lambda: outside.outcomes(run["run_id"])["done"] == 3)
    minutes.to_the_end()
    assert Counter(stand_in.runs()) == Counter((*FIRST[:2], LATER[0]))
    assert len(outside.runs("Back")[0]["fleets"]) == 1


def accepted(outside: Outside, app: str) -> int:
    """How many job files have been sent."""
    return sum(each["closed"] for each in outside.runs(app)[-1]["submissions"].values())


def at_work(outside: Outside, count: int, *wells: str) -> dict[str, str]:
    """Wait until so many jobs are at work, these among them; each well's machine."""

    def found() -> dict[str, str]:
        seen = wells_at_work(outside)
        return seen if len(seen) == count and set(wells) <= set(seen) else {}

    return outside.until(found)


def empty(outside: Outside, machines: list[str]) -> bool:
    """Whether no container is left on these machines."""
    containers = outside.fleet.machines.processes()
    return not any(containers[machine] for machine in machines)
