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


def dashboard_tags(cloudwatch: CloudWatchClient, name: str) -> dict[str, str] | None:
    """The tags of the dashboard of exactly this name; None if there is none. Two calls."""
    try:
        arn = cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]
        tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    return {tag["Key"]: tag["Value"] for tag in tags}


def existing_alarms(cloudwatch: CloudWatchClient, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these alarms there are. A page holds fewer than were asked for, if not told."""
    wanted = list(names)
    found: list[str] = []
    pages = cloudwatch.get_paginator("describe_alarms")
    for start in range(0, len(wanted), ALARMS):
        for page in pages.paginate(
            AlarmNames=wanted[start : start + ALARMS], PaginationConfig={"PageSize": ALARMS}
        ):
            found += [alarm["AlarmName"] for alarm in page["MetricAlarms"]]
    return tuple(found)


def alarms_beginning(cloudwatch: CloudWatchClient, prefix: str) -> list[str]:
    """Names of the alarms that begin like this: for whoever then tells them apart exactly."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    return [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]


def log_groups(logs: CloudWatchLogsClient, prefix: str) -> dict[str, int]:
    """Log groups whose names begin like this, with their retention in days (0: for ever)."""
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    return {
        group["logGroupName"]: group.get("retentionInDays", 0)
        for page in pages
        for group in page["logGroups"]
    }
