"""The dashboard: each widget reads what it says."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.watch import dashboard
from tests.core.factories import config, example
from tests.core.goldens import hold_json


def drawn(settings: RunConfig, *fleets: str) -> dict[str, dict[str, Any]]:
    """The widgets, by their titles."""
    widgets = json.loads(dashboard(Names.of(settings), fleets))["widgets"]
    return {widget["properties"]["title"]: widget for widget in widgets}


@pytest.mark.parametrize("fleets", [["sfr-1"], ["sfr-1", "sfr-2"]], ids=["one", "two"])
@pytest.mark.parametrize("number", [1, 2])
def test_what_cloudwatch_is_sent(number: int, fleets: list[str]) -> None:
    body = dashboard(Names.of(example(number)), tuple(fleets))
    hold_json(f"watch/example_{number}.{len(fleets)}_fleets.json", json.loads(body))


def test_seven_widgets_that_do_not_overlap() -> None:
    widgets = list(drawn(config(), "sfr-1").values())
    assert len(widgets) == 7
    for one, other in combinations(widgets, 2):
        apart = (
            one["x"] + one["width"] <= other["x"]
            or other["x"] + other["width"] <= one["x"]
            or one["y"] + one["height"] <= other["y"]
            or other["y"] + other["height"] <= one["y"]
        )
        assert apart, (one["properties"]["title"], other["properties"]["title"])
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)


def test_every_fleet_of_the_run_is_shown() -> None:
    machines = drawn(config(), "sfr-1", "sfr-2")["Machines: wanted and there"]
    assert {tuple(metric[1:]) for metric in machines["properties"]["metrics"]} == {
        (metric, "FleetRequestId", fleet)
        for metric in ("FulfilledCapacity", "TargetCapacity")
        for fleet in ("sfr-1", "sfr-2")
    }


def test_queues_are_named_as_configured_not_guessed_from_the_app() -> None:
    widgets = drawn(config(SQS_QUEUE_NAME="QueueQueue", SQS_DEAD_LETTER_QUEUE="lab_Dead"), "sfr-1")
    waiting = widgets["Jobs waiting, running, dead"]["properties"]
    assert waiting["stacked"] is True
    assert [tuple(metric[1:]) for metric in waiting["metrics"]] == [
        ("ApproximateNumberOfMessagesVisible", "QueueName", "QueueQueue"),
        ("ApproximateNumberOfMessagesNotVisible", "QueueName", "QueueQueue"),
        ("ApproximateNumberOfMessagesVisible", "QueueName", "lab_Dead"),
    ]
    throughput = widgets["Jobs taken and finished"]["properties"]
    assert throughput["stat"] == "Sum"
    assert {metric[-1] for metric in throughput["metrics"]} == {"QueueQueue"}


def test_memory_is_this_apps_not_the_clusters() -> None:
    widget = drawn(config(ECS_CLUSTER="imaging"), "sfr-1")["Memory used by containers (%)"]
    assert widget["properties"]["metrics"] == [
        ["AWS/ECS", "MemoryUtilization", "ClusterName", "imaging", "ServiceName", "ScreenService"]
    ]


def test_logs_are_read_from_the_configured_group() -> None:
    widgets = drawn(config(LOG_GROUP_NAME="lab/screens"), "sfr-1").values()
    queries = [w["properties"]["query"] for w in widgets if w["type"] == "log"]
    assert len(queries) == 3
    assert all(query.startswith("SOURCE 'lab/screens' | ") for query in queries)


def test_every_widget_looks_at_the_runs_region() -> None:
    widgets = drawn(config(AWS_REGION="eu-central-1"), "sfr-1").values()
    assert {widget["properties"]["region"] for widget in widgets} == {"eu-central-1"}
