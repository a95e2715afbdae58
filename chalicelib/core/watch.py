"""The CloudWatch dashboard: DCP's seven widgets, each reading what it says it reads."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from chalicelib.core.naming import Names

#: Seconds. SQS reports once a minute.
PERIOD = 60


def dashboard(names: Names, fleet_ids: tuple[str, ...]) -> str:
    """The dashboard's body as JSON, for all fleets of the run."""
    capacity = [
        ["AWS/EC2Spot", metric, "FleetRequestId", fleet_id]
        for fleet_id in fleet_ids
        for metric in ("FulfilledCapacity", "TargetCapacity")
    ]
    waiting = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", names.queue],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", names.queue],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", names.dead_letter_queue],
    ]
    throughput = [
        ["AWS/SQS", "NumberOfMessagesReceived", "QueueName", names.queue],
        ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", names.queue],
    ]
    memory = [
        [
            "AWS/ECS",
            "MemoryUtilization",
            "ClusterName",
            names.cluster,
            "ServiceName",
            names.service,
        ]
    ]
    started = "filter @message like 'cellprofiler -c'"
    widgets = [
        _metric(names, 0, 0, "Machines: wanted and there", capacity),
        _metric(names, 6, 0, "Memory used by containers (%)", memory),
        _metric(names, 12, 0, "Jobs waiting, running, dead", waiting, stacked=True),
        _metric(names, 18, 0, "Jobs taken and finished", throughput, stat="Sum"),
        _log(names, 0, 6, 12, "CellProfiler starts", f"{started} | stats count(@message)"),
        _log(
            names,
            12,
            6,
            12,
            "CellProfiler starts, each command once",
            f"{started} | stats count_distinct(@message)",
        ),
        _log(
            names,
            0,
            12,
            24,
            "Errors",
            "filter @message like 'Error' | display @timestamp, @logStream, @message",
        ),
    ]
    return to_json({"widgets": widgets}, indent=1).decode()


def _metric(
    names: Names,
    x: int,
    y: int,
    title: str,
    metrics: list[list[str]],
    *,
    stacked: bool = False,
    stat: str = "Average",
) -> dict[str, Any]:
    return {
        "type": "metric",
        "x": x,
        "y": y,
        "width": 6,
        "height": 6,
        "properties": {
            "title": title,
            "metrics": metrics,
            "view": "timeSeries",
            "stacked": stacked,
            "region": names.region,
            "period": PERIOD,
            "stat": stat,
            "yAxis": {"left": {"min": 0}},
        },
    }


def _log(names: Names, x: int, y: int, width: int, title: str, query: str) -> dict[str, Any]:
    return {
        "type": "log",
        "x": x,
        "y": y,
        "width": width,
        "height": 6,
        "properties": {
            "title": title,
            "query": f"SOURCE '{names.log_group}' | fields @message | {query}",
            "region": names.region,
            "view": "table",
        },
    }
