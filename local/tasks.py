"""The tasks' own life: their output, their end, and how soon the next one may start."""

import logging
import shutil
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecs.models import ecs_backends
from moto.logs.models import logs_backends

from local import moto_ecs
from local.logs import LogShipper, last_lines
from local.machines import LocalTask, Machine

log = logging.getLogger(__name__)

#: A task that lives shorter than this, in seconds, makes the next one wait.
_SHORT_LIFE = 10.0
LONGEST_WAIT = 60.0
#: So many ended tasks can still be described.
_REMEMBERED = 500


@dataclass
class Backoff:
    """When a service may start its next task, on the monotonic clock."""

    short_lives: int = 0
    not_before: float = 0.0

    def note_exit(self, now: float, lived: float, pause: float) -> None:
        """After an exit nobody asked for: `pause` seconds, doubled for each short life in a row."""
        if lived >= _SHORT_LIFE:
            self.short_lives = 0
            return
        self.short_lives += 1
        self.not_before = now + min(pause * 2.0 ** min(self.short_lives - 1, 10), LONGEST_WAIT)


class TaskKeeper:
    """Looks after running containers. `restart`: the shortest pause after a short life."""

    def __init__(self, *, restart: float):
        self._restart = restart
        self._backoff: dict[str, Backoff] = {}
        self._ended: deque[tuple[dict[str, Any], str]] = deque()
        self._shipper = LogShipper()

    def backoff(self, service: str) -> Backoff:
        """Of the service with this ARN."""
        return self._backoff.setdefault(service, Backoff())

    def look_after(self, machine: Machine, now: float) -> None:
        """Do what is due for each task of a machine: stop, kill, enter its end."""
        for task in list(machine.tasks):
            if task.task.desired_status == moto_ecs.STOPPED and not task.stopping:
                task.stop(now, task.task.stopped_reason)  # by a StopTask call
            if task.kill_at is not None and now >= task.kill_at:
                task.container.kill()
            self.reap(machine, task)

    def reap(self, machine: Machine, task: LocalTask) -> None:
        """Send the new lines of its log; if its process has ended, enter that."""
        code = task.container.exit_code()
        logs = logs_backends[DEFAULT_ACCOUNT_ID][machine.region]
        self._shipper.ship(
            logs, task.log_group, task.log_stream, task.container.log, last=code is not None
        )
        if code is None:
            return
        if not task.stopping and not machine.gone:
            self._note_exit(machine, task, code)
        machine.tasks.remove(task)
        self._enter_end(machine.region, task.task, code)
        shutil.rmtree(task.folder, ignore_errors=True)

    def _note_exit(self, machine: Machine, task: LocalTask, code: int) -> None:
        now = time.monotonic()
        self.backoff(task.service).note_exit(now, now - task.started, self._restart)
        if code:
            end = last_lines(task.container.log)
            log.warning("worker %s on %s ended with code %d\n%s", task.id, machine.id, code, end)

    def _enter_end(self, region: str, entry: Any, code: int) -> None:
        entry.stopped_reason = entry.stopped_reason or "Essential container in task exited"
        entry.last_status = entry.desired_status = moto_ecs.STOPPED
        entry.stopped_at = datetime.now(UTC)
        entry.containers[0].exitCode = code
        entry.containers[0].last_status = moto_ecs.STOPPED
        listed = ecs_backends[DEFAULT_ACCOUNT_ID][region].tasks.get(entry.cluster_name, {})
        self._ended.append((listed, entry.task_arn))
        if len(self._ended) > _REMEMBERED:
            listed, arn = self._ended.popleft()
            listed.pop(arn, None)
