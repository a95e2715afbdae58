"""What users watch a run by: dashboard, alarms, logs, and files in their bucket."""

from __future__ import annotations

from chalicelib.aws.actions.rim import Rim, carry_out, gone_is_fine
from chalicelib.aws.errors import AwsError, code
from chalicelib.aws.watch import ALARMS
from chalicelib.core.actions.watch import (
    CreateLogGroup,
    DeleteAlarms,
    DeleteDashboard,
    DeleteFile,
    PutDashboard,
    PutFile,
)
from chalicelib.core.compute import digest, ec2_tags


@carry_out.register
def _(action: PutDashboard, rim: Rim) -> None:
    rim.aws.cloudwatch.put_dashboard(
        DashboardName=action.name,
        DashboardBody=action.body,
        Tags=ec2_tags(action.tags),  # type: ignore[arg-type]
    )
    rim.remember({"dashboard": digest({"body": action.body})})


@carry_out.register
def _(action: DeleteDashboard, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.cloudwatch.delete_dashboards(DashboardNames=[action.name]))


@carry_out.register
def _(action: DeleteAlarms, rim: Rim) -> None:
    for start in range(0, len(action.names), ALARMS):
        rim.aws.cloudwatch.delete_alarms(AlarmNames=list(action.names[start : start + ALARMS]))


@carry_out.register
def _(action: CreateLogGroup, rim: Rim) -> None:
    try:
        rim.aws.logs.create_log_group(logGroupName=action.name)
    except AwsError as error:
        if code(error) != "ResourceAlreadyExistsException":
            raise
    rim.aws.logs.put_retention_policy(logGroupName=action.name, retentionInDays=action.days)


@carry_out.register
def _(action: PutFile, rim: Rim) -> None:
    rim.aws.s3.put_object(Bucket=action.bucket, Key=action.key, Body=action.body.encode())


@carry_out.register
def _(action: DeleteFile, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.s3.delete_object(Bucket=action.bucket, Key=action.key))
