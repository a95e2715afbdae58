"""Finished runs whose logs are still to be exported: one pass over them, a step each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from aws_lambda_powertools import Logger

from chalicelib.aws import logs
from chalicelib.aws.execute import execute
from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.actions.logs import ExportLogs
from chalicelib.core.config import recorded_config
from chalicelib.core.log_export import ExportView, TaskView, decide_export, outstanding
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import DeadlineError, NotFoundError

log = Logger(service="cellfleet", child=True)


def export_all(services: Services, run_id: str = "") -> Iterator[RunRecord]:
    """One step for every run that waits (or for this one). One's trouble never stops the others."""
    tasks: tuple[TaskView, ...] | None = None
    for key in services.store.list(keys.EXPORTING + run_id):
        services.check_deadline()
        found = key.removeprefix(keys.EXPORTING)
        if run_id and found != run_id:
            continue
        try:
            if tasks is None:
                tasks = logs.export_tasks(services.clients.logs)
            record, asked = _step(services, found, tasks)
        except DeadlineError:
            raise
        except NotFoundError:
            services.store.delete(key)  # its record is gone: there is nothing to go by
        except Exception:
            log.exception("logs can't be exported yet", extra={"run_id": found})
        else:
            tasks = None if asked else tasks
            if record is not None:
                yield record


def _step(
    services: Services, run_id: str, tasks: tuple[TaskView, ...]
) -> tuple[RunRecord | None, bool]:
    """The record afterwards, None while the run isn't finished; and whether a task was asked for."""
    record = services.runs.load(run_id)
    if record.phase is not Phase.FINISHED or record.ended_at is None:
        return None, False
    config = recorded_config(record)
    client, since, until = services.clients.logs, record.created_at, record.ended_at
    waiting = outstanding(record, config)
    seen = ExportView(
        now=services.now(),
        tasks=logs.with_known(client, tasks, (export.task_id for export in waiting)),
    )
    if not seen.busy:
        groups = [export.group for export in waiting]
        found = {group: logs.has_events(client, group, since, until) for group in groups}
        seen = replace(seen, has_events=found)
    plan = decide_export(record, config, seen)
    execute(services, run_id, plan)
    return services.runs.load(run_id), any(isinstance(action, ExportLogs) for action in plan)
