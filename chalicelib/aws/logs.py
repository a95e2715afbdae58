"""CloudWatch Logs: look at export tasks and at what a group holds, and ask for an export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.aws.errors import code, is_not_found
from chalicelib.core import keys
from chalicelib.core.actions.logs import ExportLogs
from chalicelib.core.log_export import ASK_AGAIN, TaskView, refusal_note
from chalicelib.core.run import LogExport, RunRecord

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import ExportTaskTypeDef

    from chalicelib.aws.services import Services

#: Pages of export tasks that are looked at, 50 tasks each.
_TASK_PAGES = 10
#: Pages of a search for one event; CloudWatch may answer with empty ones while it searches.
_EVENT_PAGES = 3
#: Another export of the account is under way: wait. Everything else that a caller can mend is a
#: refusal; CloudWatch calls a bucket that it may not write to an invalid parameter.
_BUSY = ("LimitExceededException",)
_REFUSED = ("InvalidParameterException", "AccessDeniedException", "AccessDenied")


def export_tasks(logs: CloudWatchLogsClient) -> tuple[TaskView, ...]:
    """The account's export tasks."""
    pages = logs.get_paginator("describe_export_tasks").paginate()
    return tuple(_view(task) for page in islice(pages, _TASK_PAGES) for task in page["exportTasks"])


def with_known(
    logs: CloudWatchLogsClient, tasks: Sequence[TaskView], ids: Iterable[str]
) -> tuple[TaskView, ...]:
    """The tasks, and those with these ids wherever they stand in a long history."""
    listed = {task.task_id for task in tasks}
    missing = [task_id for task_id in ids if task_id and task_id not in listed]
    return (*tasks, *(_view(t) for task_id in missing for t in _with_id(logs, task_id)))


def _with_id(logs: CloudWatchLogsClient, task_id: str) -> Sequence[ExportTaskTypeDef]:
    try:
        return logs.describe_export_tasks(taskId=task_id)["exportTasks"]
    except ClientError as error:
        if is_not_found(error):
            return ()
        raise


def _view(task: ExportTaskTypeDef) -> TaskView:
    return TaskView(
        task_id=task["taskId"],
        name=task.get("taskName", ""),
        state=task["status"]["code"],
        message=task["status"].get("message", ""),
    )


def has_events(logs: CloudWatchLogsClient, group: str, start: datetime, end: datetime) -> bool:
    """Whether a group holds an event of this time; True too where the search takes long."""
    arguments = {
        "logGroupName": group,
        "startTime": int(start.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000) + 1,
        "limit": 1,
    }
    try:
        for _ in range(_EVENT_PAGES):
            answer = logs.filter_log_events(**arguments)  # type: ignore[arg-type]
            if answer["events"]:
                return True
            if not answer.get("nextToken"):
                return False
            arguments["nextToken"] = answer["nextToken"]
    except ClientError as error:
        if is_not_found(error):
            return False
        raise
    return True


def export(services: Services, run_id: str, action: ExportLogs) -> None:
    """Ask for an export task: written down first, so that two processes ask once.

    Another task of the account under way is no failure, and a refusal is told in a note.
    """
    asked = services.now()
    if not _take(services, run_id, action.group, asked):
        return
    try:
        answer = services.clients.logs.create_export_task(
            taskName=action.task_name,
            logGroupName=action.group,
            fromTime=action.start,
            to=action.end,
            destination=action.bucket,
            destinationPrefix=action.prefix,
        )
    except ClientError as error:
        if code(error) in _BUSY:
            told = "another export of this account is under way"
            _change(services, run_id, action.group, asked_at=None, told=told)
            return
        if code(error) not in _REFUSED:
            raise
        reason = str(error.response["Error"].get("Message") or code(error)).rstrip(". ") + "."
        _change(services, run_id, action.group, refused_at=asked, told=f"refused: {reason}")
        note = refusal_note(
            action, reason, region=services.settings.region, account=services.clients.account
        )
        services.runs.change(run_id, lambda record: record.with_note(note))
        return
    _change(services, run_id, action.group, task_id=answer["taskId"], told="under way")


def record(services: Services, run_id: str, export: LogExport) -> None:
    """Write down how an export stands, unless it is settled already."""

    def settle(found: LogExport) -> LogExport | None:
        return None if found.over else export

    _with(services, run_id, export.group, settle)


def forget(services: Services, run_id: str) -> None:
    """Take the run's mark away: its logs are settled."""
    services.store.delete(keys.exporting(run_id))


def _take(services: Services, run_id: str, group: str, asked: datetime) -> bool:
    """Whether it is we who ask now, and not another process."""
    taken = False

    def take(found: LogExport) -> LogExport | None:
        nonlocal taken
        waits = found.asked_at is not None and not found.task_id
        taken = not found.over and not (
            waits and found.asked_at is not None and asked - found.asked_at < ASK_AGAIN
        )
        return found.model_copy(update={"asked_at": asked, "task_id": ""}) if taken else None

    _with(services, run_id, group, take)
    return taken


def _change(services: Services, run_id: str, group: str, **update: object) -> None:
    _with(services, run_id, group, lambda found: found.model_copy(update=update))


def _with(
    services: Services,
    run_id: str,
    group: str,
    change: Callable[[LogExport], LogExport | None],
) -> None:
    def apply(found: RunRecord) -> RunRecord | None:
        changed = change(found.exports.get(group, LogExport(group=group)))
        if changed is None:
            return None
        return found.model_copy(update={"exports": {**found.exports, group: changed}})

    services.runs.change(run_id, apply)
