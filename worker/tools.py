"""What a slot works with; all but the engine is shared by the slots of a container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from worker.datafile import DataFiles
from worker.environment import Environment
from worker.inputs import Inputs
from worker.ledger import Ledger
from worker.protection import Protection
from worker.queue import Queue, Stop
from worker.warm import WarmEngine

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Tools:
    """Clients, places and times. `clock` only measures, `now` is seconds since 1970; `alive`
    leaves the sign of life."""

    environment: Environment
    s3: S3Client
    logs: CloudWatchLogsClient | None
    queue: Queue
    inputs: Inputs
    data_files: DataFiles
    protection: Protection
    stop: Stop
    engine: WarmEngine
    clock: Callable[[], float]
    now: Callable[[], float]
    alive: Callable[[], None]

    @property
    def ledger(self) -> Ledger:
        """The run's ledger."""
        return Ledger(self.s3, self.environment.state_bucket, self.environment.run)
