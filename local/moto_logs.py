"""What moto's Logs lack for our use: an export takes a while, and there is one at a time."""

from collections.abc import Callable
from typing import Any

from moto.logs.exceptions import LimitExceededException
from moto.logs.models import ExportTask
from moto.logs.models import LogsBackend as Backend

from local.patching import Patches

#: Each look at a task finds it one step on.
_NEXT = {"PENDING": "RUNNING", "RUNNING": "COMPLETED"}


def install(patches: Patches) -> None:
    """Replace what differs."""
    patches.replace(Backend, "create_export_task", _create_export_task)
    patches.replace(Backend, "describe_export_tasks", _describe_export_tasks)


def _create_export_task(original: Callable[..., str]) -> Callable[..., str]:
    def create_export_task(backend: Backend, *args: Any, **kwargs: Any) -> str:
        if any(task.status["code"] in _NEXT for task in backend.export_tasks.values()):
            raise LimitExceededException
        task_id = original(backend, *args, **kwargs)
        backend.export_tasks[task_id].status["code"] = "PENDING"
        return task_id

    return create_export_task


def _describe_export_tasks(
    original: Callable[..., list[ExportTask]],
) -> Callable[..., list[ExportTask]]:
    def describe_export_tasks(backend: Backend, *args: Any, **kwargs: Any) -> list[ExportTask]:
        found = original(backend, *args, **kwargs)
        for task in found:
            task.status["code"] = _NEXT.get(task.status["code"], task.status["code"])
        return found

    return describe_export_tasks
