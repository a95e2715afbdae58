"""Two apps on one cluster whose names begin alike: neither touches what is the other's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.outside import Outside
from tests.e2e.plates import StandIn, config, job_file, made_up_plate, made_up_result

pytestmark = pytest.mark.timeout(600)

WELLS = {"App": ("A01", "A02"), "App2": ("A01", "A02", "A03")}


def test_one_ends_and_the_other_goes_on(outside: Outside, stand_in: StandIn) -> None:
    stand_in.hold("A03")
    for app, wells in WELLS.items():
        for key, body in made_up_plate(app.lower(), wells).items():
            outside.put(key, body)
        job = job_file(app.lower(), wells)
        outside.submit(app, {**job, "config": config(app, outside.bucket)})

    outside.finished("App")

    def alone() -> bool:
        """All of App2 is done but for what is on hold."""
        return len(outside.keys("app2/output/")) == 2 and "A03" in stand_in.runs()

    outside.until(alone)
    (other,) = outside.runs("App2")
    assert other["phase"] == "open"
    assert {"AppQueue", "App2Queue"} & outside.queues() == {"App2Queue"}
    (service,) = outside.services().values()
    assert service["serviceName"] == "App2Service"
    assert (service["status"], service["desiredCount"], service["runningCount"]) == ("ACTIVE", 1, 1)
    (machine,) = machines(outside)
    assert machine["status"] == "ACTIVE"
    assert {"name": "cellfleet.run", "value": other["run_id"]} in machine["attributes"]
    left = outside.leftovers()
    assert left["dashboards"] == ("App2",)
    assert all("App2" in name for name in left["launch templates"])
    assert len(left["machines"]) == len(left["spot fleet requests"]) == 1

    stand_in.release()
    outside.finished("App2")
    for app, wells in WELLS.items():
        (run,) = outside.runs(app)
        assert outside.outcomes(run["run_id"]) == {"done": len(wells)}
        for well in wells:
            found = outside.read(f"{app.lower()}/output/P1/{well}/Image.csv")
            assert found == made_up_result(app.lower(), well)
    assert outside.leftovers() == {}


def machines(outside: Outside) -> list[dict[str, Any]]:
    """The container instances of the cluster."""
    ecs = outside.client("ecs")
    arns = ecs.list_container_instances(cluster="default")["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster="default", containerInstances=arns)
    return list(found["containerInstances"])
