"""What becomes of a run's logs when it has ended: each of its log groups is exported to S3, once.

CloudWatch takes one export task an account at a time, so a run that finished waits for its turn
across ticks. Nothing here blocks: every pass looks at the account's tasks, and does the one thing
that can be done now. After a day it is given up; the logs themselves stay in CloudWatch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core import keys
from chalicelib.core.actions.logs import ExportLogs, ForgetExports, RecordExport
from chalicelib.core.bucket_policy import export_statements, with_statements
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import LogExport, RunRecord

#: How long after its end a run's logs are waited for.
GIVE_UP = timedelta(hours=24)
#: A request whose answer never came is sent again after this long, unless its task is found.
ASK_AGAIN = timedelta(minutes=2)
#: How long a refusal (a bucket policy that is missing) stands before it is tried again.
AFTER_REFUSAL = timedelta(hours=1)
#: Tasks of one log group that may fail before it is given up.
TRIES = 3

_ACTIVE = ("PENDING", "RUNNING", "PENDING_CANCEL")
_FAILED = ("FAILED", "CANCELLED")


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """An export task of the account. `state` is CloudWatch's."""

    task_id: str
    name: str
    state: str
    message: str = ""

    @property
    def active(self) -> bool:
        return self.state in _ACTIVE


@dataclass(frozen=True, kw_only=True)
class ExportView:
    """One look at the account's export tasks, and at the run's log groups.

    `has_events`: whether a group holds events of the run's time. It is only looked at while no
    task is under way.
    """

    now: datetime
    tasks: Sequence[TaskView]
    has_events: Mapping[str, bool] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """The account's one task is under way."""
        return any(task.active for task in self.tasks)

    def of(self, export: LogExport, name: str) -> tuple[TaskView, ...]:
        """The tasks of one log group of this run, by name or by the id that we were given."""
        return tuple(t for t in self.tasks if t.name == name or t.task_id == export.task_id)


def log_groups(config: RunConfig) -> tuple[str, str]:
    """The groups that a run writes to: its jobs', and its machines'."""
    names = Names.of(config)
    return names.log_group, names.instance_log_group


def outstanding(record: RunRecord, config: RunConfig) -> tuple[LogExport, ...]:
    """The exports that aren't settled."""
    all_of = (record.exports.get(group, LogExport(group=group)) for group in log_groups(config))
    return tuple(export for export in all_of if not export.over)


def task_name(run_id: str, group: str) -> str:
    """The same at every attempt, so that a task whose id was lost is found again."""
    return f"{run_id}-{hashlib.sha256(group.encode()).hexdigest()[:8]}"


def decide_export(record: RunRecord, config: RunConfig, seen: ExportView) -> Plan:
    """What to do now for the logs of a finished run; at most one task is asked for."""
    plan: list[Action] = []
    waiting = outstanding(record, config)
    for export in waiting:
        action = _next(record, config, export, seen)
        if isinstance(action, ExportLogs) and any(isinstance(a, ExportLogs) for a in plan):
            continue
        if action is not None:
            plan.append(action)
    settled = sum(isinstance(a, RecordExport) and a.export.over for a in plan)
    if settled == len(waiting):
        plan.append(ForgetExports())
    return tuple(plan)


def _next(
    record: RunRecord, config: RunConfig, export: LogExport, seen: ExportView
) -> ExportLogs | RecordExport | None:
    tasks = seen.of(export, task_name(record.run_id, export.group))
    if any(task.state == "COMPLETED" for task in tasks):
        where = f"s3://{config.aws_bucket}/{keys.exported_logs(export.group)}/"
        return _settle(export, "done", f"exported to {where}")
    if any(task.active for task in tasks):
        return None
    failed = [task for task in tasks if task.state in _FAILED]
    if len(failed) >= TRIES:
        return _settle(export, "given-up", f"{TRIES} tasks failed: {failed[-1].message}")
    if seen.has_events.get(export.group) is False:
        return _settle(export, "empty", "no events")
    if record.ended_at is None or seen.now - record.ended_at > GIVE_UP:
        return _settle(export, "given-up", export.told or "another export was always under way")
    return (
        None if seen.busy or _too_soon(export, failed, seen.now) else _ask(record, config, export)
    )


def _too_soon(export: LogExport, failed: Sequence[TaskView], now: datetime) -> bool:
    if export.refused_at is not None and now - export.refused_at < AFTER_REFUSAL:
        return True
    unanswered = not any(task.task_id == export.task_id for task in failed)
    return unanswered and export.asked_at is not None and now - export.asked_at < ASK_AGAIN


def _settle(export: LogExport, state: str, told: str) -> RecordExport:
    return RecordExport(export=export.model_copy(update={"state": state, "told": told}))


def _ask(record: RunRecord, config: RunConfig, export: LogExport) -> ExportLogs:
    """From the run's first moment to its last, in milliseconds since 1970."""
    ended = record.ended_at or record.created_at
    return ExportLogs(
        group=export.group,
        task_name=task_name(record.run_id, export.group),
        bucket=config.aws_bucket,
        prefix=keys.exported_logs(export.group),
        start=int(record.created_at.timestamp() * 1000),
        end=int(ended.timestamp() * 1000) + 1,
    )


def refusal_note(action: ExportLogs, reason: str, *, region: str, account: str) -> str:
    """Why nothing is exported, and what to do about it."""
    policy = with_statements(None, export_statements(action.bucket, region=region, account=account))
    return (
        f"the logs of {action.group} can't be exported to s3://{action.bucket}/{action.prefix}: "
        f"{reason} Add this to the policy of the bucket {action.bucket}: {json.dumps(policy)} It is tried "
        "again each hour for a day; the logs themselves stay in CloudWatch."
    )
