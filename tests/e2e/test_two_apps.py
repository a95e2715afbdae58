"""Two apps on one cluster whose names begin alike: neither touches what is the other's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.aws.services import Services
from chalicelib.operations import control
from tests.e2e.account import CLUSTER, Account, account, additions, changes
from tests.e2e.outside import Outside
from tests.e2e.plates import StandIn, config, job_file, made_up_plate, made_up_result

pytestmark = pytest.mark.timeout(600)

#: What the app that stays has to do: two jobs at a time, held, and one that waits.
STAYING = ("A01", "A02", "A03")
#: What the app that ends has to do, the second time for ever.
ENDING, HELD = ("B01", "B02"), ("C01", "C02")


def submit(outside: Outside, app: str, wells: tuple[str, ...]) -> None:
    for key, body in made_up_plate(app.lower(), wells).items():
        outside.put(key, body)
    job = job_file(app.lower(), wells)
    outside.submit(app, {**job, "config": config(app, outside.bucket)})


def put_alarm(outside: Outside, name: str) -> None:
    """As DCP's workers make them."""
    outside.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=15,
        Threshold=1.0,
        ComparisonOperator="LessThanThreshold",
    )


@pytest.fixture
def alarms(outside: Outside) -> Iterator[list[str]]:
    """Names of alarms to be removed after the test."""
    names: list[str] = []
    yield names
    outside.client("cloudwatch").delete_alarms(AlarmNames=names)


@pytest.mark.parametrize(("ending", "staying"), [("App", "App2"), ("Scan2", "Scan")])
def test_one_ends_or_is_stopped_and_the_other_is_as_it_was(
    ending: str, staying: str, outside: Outside, stand_in: StandIn, alarms: list[str]
) -> None:
    stand_in.hold(*STAYING, *HELD)
    submit(outside, staying, STAYING)
    outside.until(lambda: at_rest(outside, staying, held=2, waiting=1))
    outside.until(lambda: logs_are_exported(outside))
    alarms += [f"{staying}_i-0123456789abcdef0", f"{ending}_i-0fedcba9876543210"]
    for name in alarms:
        put_alarm(outside, name)
    before = account(outside)

    submit(outside, ending, ENDING)
    outside.finished(ending)
    assert_as_it_was(outside, before, ending)

    submit(outside, ending, HELD)
    outside.until(lambda: at_rest(outside, ending, held=2, waiting=0))
    assert_each_on_its_own(outside, ending, staying)
    assert changes(before, account(outside)) == []
    control.stop(Services.from_environment(), ending)
    outside.finished(ending, runs=2)
    outside.until(lambda: len(outside.fleet.machines.processes()) == 1)
    assert_as_it_was(outside, before, ending)

    stand_in.release()
    outside.finished(staying)
    for app, wells in ((staying, STAYING), (ending, ENDING)):
        run = outside.runs(app)[0]
        assert outside.outcomes(run["run_id"]) == {"done": len(wells)}
        for well in wells:
            found = outside.read(f"{app.lower()}/output/P1/{well}/Image.csv")
            assert found == made_up_result(app.lower(), well)
    left = outside.leftovers()
    assert (left.keys(), set(left["alarms"])) == ({"alarms"}, set(alarms))


def at_rest(outside: Outside, app: str, *, held: int, waiting: int) -> bool:
    """Whether the app's workers hold jobs that take for ever, and its set-up is written down."""
    if f"{app}Queue" not in outside.queues():
        return False
    sqs = outside.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{app}Queue")["QueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    counts = ("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessages")
    run = outside.runs(app)[-1]
    closed = run["submissions"] and all(each["closed"] for each in run["submissions"].values())
    return (
        [int(told[name]) for name in counts] == [held, waiting]
        and closed
        and bool(run["dashboard"])
        and outside.keys(f"runs/pending/{app}/") == []
    )


def logs_are_exported(outside: Outside) -> bool:
    """Whether nothing goes on any more of runs that have ended."""
    return outside.keys("runs/exporting/") == []


def assert_as_it_was(outside: Outside, before: Account, ending: str) -> None:
    """All that was there is as it was; what came is the ended app's, and at an end."""
    outside.until(lambda: logs_are_exported(outside))
    after = account(outside)
    assert changes(before, after) == []
    left = [new for new in additions(before, after) if not may_stay(new, ending)]
    assert left == []


def may_stay(new: tuple[str, str, Any], app: str) -> bool:
    """What AWS goes on showing for a while, logs, results, and what tells of the run."""
    kind, name, told = new
    match kind:
        case "fleets":
            return str(told["SpotFleetRequestState"]).startswith("cancelled")
        case "machines":
            return bool(told[0] == "terminated")
        case "log_groups":
            return name in (app, f"{app}_perInstance")
        case "objects":
            of = re.compile(rf"(^|/)({app}|{app}_perInstance|{app}_ecs|{app.lower()})[-/.]")
            # CloudWatch tries whether it may write before it exports.
            return of.search(name) is not None or name == "aws-logs-write-test"
        case _:
            return False


def assert_each_on_its_own(outside: Outside, *apps: str) -> None:
    """The containers of each app run on machines with the attribute of its own run."""
    ecs = outside.client("ecs")
    for app in apps:
        found = ecs.list_tasks(cluster=CLUSTER, serviceName=f"{app}Service")["taskArns"]
        tasks = ecs.describe_tasks(cluster=CLUSTER, tasks=found)["tasks"]
        assert tasks
        hosts = {task["containerInstanceArn"] for task in tasks}
        told = ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[*hosts])
        mark = {"name": "cellfleet.run", "value": outside.runs(app)[-1]["run_id"]}
        assert all(mark in host["attributes"] for host in told["containerInstances"])
