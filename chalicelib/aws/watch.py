"""CloudWatch and its logs: dashboards, alarms, log groups, all by exact name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.errors import is_not_found

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

#: DeleteAlarms and DescribeAlarms take at most this many names.
ALARMS = 100


def has_dashboard(cloudwatch: CloudWatchClient, name: str) -> bool:
    """Whether there is a dashboard of exactly this name."""
    try:
        cloudwatch.get_dashboard(DashboardName=name)
    except ClientError as error:
        if is_not_found(error):
            return False
        raise
    return True


def existing_alarms(cloudwatch: CloudWatchClient, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these alarms there are."""
    wanted = list(names)
    found: list[str] = []
    for start in range(0, len(wanted), ALARMS):
        answer = cloudwatch.describe_alarms(AlarmNames=wanted[start : start + ALARMS])
        found += [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]
    return tuple(found)


def log_groups(logs: CloudWatchLogsClient, prefix: str) -> dict[str, int]:
    """Log groups whose names begin like this, with their retention in days (0: for ever)."""
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    return {
        group["logGroupName"]: group.get("retentionInDays", 0)
        for page in pages
        for group in page["logGroups"]
    }
