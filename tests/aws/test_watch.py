"""Alarms are found by their exact names, however many there are."""

from __future__ import annotations

from chalicelib.aws import watch
from tests.aws.conftest import World


def put_alarm(world: World, name: str) -> None:
    world.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=15,
        Threshold=1.0,
        ComparisonOperator="LessThanThreshold",
    )


def test_alarms_are_read_to_the_last_page(world: World) -> None:
    names = [f"App_i-{number:017x}" for number in range(120)]
    for name in (*names, "App2_i-00000000000000000", "App_i-"):
        put_alarm(world, name)
    cloudwatch = world.client("cloudwatch")
    before = world.wire.requests
    assert sorted(watch.existing_alarms(cloudwatch, [*names, "App_i-gone"])) == names
    # A hundred names a call, and all of a call's alarms on one page.
    assert world.wire.requests - before == 2
    assert len(watch.alarms_beginning(cloudwatch, "App_i-")) == 121
