"""Runs the slots of one container until it is told to stop, or has nothing more to do."""

from __future__ import annotations

import shutil
import threading
import traceback
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Callable

from chalicelib import contract
from worker.datafile import DataFiles
from worker.environment import Environment
from worker.inputs import Inputs
from worker.job import work
from worker.locations import move
from worker.protection import Protection
from worker.queue import POLL_SECONDS, Queue, QueueGone, Stop
from worker.reception import Unfit
from worker.tools import Tools
from worker.warm import WarmEngine

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

#: How long slots have, after the order to stop, to return their jobs or to finish publishing
#: them. Less than the `stopTimeout` of the task definition, and than a spot notice leaves.
STOP_SECONDS = 90.0
#: How long slots without a job have: their polls are over by then, unless they are stuck.
IDLE_STOP_SECONDS = POLL_SECONDS + 4.0
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Clients:
    """AWS, as the worker needs it."""

    s3: S3Client
    sqs: SQSClient
    logs: CloudWatchLogsClient | None


class Supervisor:
    """One container's worker. `stop` may be asked for from a signal handler."""

    def __init__(
        self,
        environment: Environment,
        clients: Clients,
        clock: Callable[[], float],
        now: Callable[[], float],
        sleep: Callable[[float], None],
        poll_seconds: int | None = None,
    ):
        self._environment = environment
        self._clock = clock
        self._sleep = sleep
        self._stop = Stop(clock)
        self._asked = ""
        self._exit_code = 0
        self._lock = threading.Lock()
        self._busy = 0
        self._last_job = clock()
        arguments = {} if poll_seconds is None else {"poll_seconds": poll_seconds}
        self._tools = Tools(
            environment=environment,
            s3=clients.s3,
            logs=clients.logs,
            queue=Queue(
                clients.sqs, environment.queue_url, environment.dead_letter_url, **arguments
            ),
            inputs=Inputs(clients.s3),
            data_files=data_files(environment, clients.s3),
            protection=Protection(environment.ecs_agent_uri, clock),
            stop=self._stop,
            engine=WarmEngine(environment.cellprofiler, environment.work, clock),
            clock=clock,
            now=now,
            alive=self._sign_of_life,
        )

    def stop(self, reason: str) -> None:
        """Ask to stop. Only sets a name: a signal handler must not touch locks."""
        self._asked = reason

    def run(self) -> int:
        """Work until the end; returns the exit code."""
        self._clean_up()
        if not self._environment.download_files:
            print(
                "DOWNLOAD_FILES is 'False', but this worker doesn't mount buckets yet: it "
                "downloads the files of each group",
                flush=True,
            )
        slots = [
            threading.Thread(
                target=self._slot, args=(number,), name="slot %d" % number, daemon=True
            )
            for number in range(self._environment.slots)
        ]
        for slot in slots:
            slot.start()
        while any(slot.is_alive() for slot in slots) and not self._overdue():
            self._look()
            self._sleep(_LOOK_SECONDS)
        self._forget_data_files()
        print("Worker ends: %s" % (self._stop.reason or "all slots ended"), flush=True)
        return self._exit_code

    def _overdue(self) -> bool:
        """Whether the slots that are left had their time to stop."""
        with self._lock:
            patience = STOP_SECONDS if self._busy else IDLE_STOP_SECONDS
        return self._stop.age() >= patience

    def _look(self) -> None:
        """Is there a reason to stop?"""
        notice = self._environment.host_dir
        if self._asked:
            self._stop.set(self._asked)
        elif notice and (notice / contract.HOST_SPOT_NOTICE).exists():
            self._stop.set("spot notice")
        with self._lock:
            idle = 0.0 if self._busy else self._clock() - self._last_job
        if idle > self._environment.idle_seconds:
            self._stop.set("no job for %.0f minutes" % (idle / 60))

    def _slot(self, number: int) -> None:
        """One slot's life. Slots start one after another, so that downloads and start-ups,
        which use more of the machine than the rest, don't all come at once."""
        if number:
            self._stop.wait(number * self._environment.seconds_to_start)
        environment = self._environment
        engine = WarmEngine(environment.cellprofiler, environment.work, self._clock)
        tools = replace(self._tools, engine=engine)
        try:
            while not self._stop.given():
                self._one(tools)
        finally:
            engine.close()

    def _one(self, tools: Tools) -> None:
        """One message, whatever happens."""
        try:
            self._receive_and_work(tools)
        except QueueGone:
            self._stop.set("the queue is gone: the run was stopped", at_once=True)
        except Unfit as error:
            self._exit_code = error.exit_code
            self._stop.set(str(error))
        except Exception:
            traceback.print_exc()
            self._stop.wait(_PAUSE_SECONDS)

    def _receive_and_work(self, tools: Tools) -> None:
        lease = tools.queue.receive()
        if lease is None:
            return
        with self._lock:
            self._busy += 1
        try:
            work(tools, lease)
        except (QueueGone, Unfit):
            raise
        except Exception:
            tools.queue.give_back(lease)
            raise
        finally:
            with self._lock:
                self._busy -= 1
                self._last_job = self._clock()

    def _sign_of_life(self) -> None:
        if self._environment.host_dir:
            try:
                (self._environment.host_dir / contract.HOST_ALIVE).touch()
            except OSError as error:
                print("The sign of life couldn't be left: %s" % error, flush=True)

    def _clean_up(self) -> None:
        """Remove what a dead predecessor left in the same root."""
        self._environment.work.mkdir(parents=True, exist_ok=True)
        for folder in self._environment.work.glob("job-*"):
            shutil.rmtree(str(folder), ignore_errors=True)
        self._forget_data_files()

    def _forget_data_files(self) -> None:
        shutil.rmtree(str(self._environment.data_files), ignore_errors=True)


def data_files(environment: Environment, s3: S3Client) -> DataFiles:
    """The container's data files, with the paths of this disk in them."""
    mount = environment.mount
    moved = str(mount) != contract.BUCKET_MOUNT
    return DataFiles(s3, environment.data_files, partial(move, mount) if moved else None)
