"""The export of a finished run's logs."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.run import LogExport


@dataclass(frozen=True, kw_only=True)
class ExportLogs:
    """Events from `start` to `end`, in milliseconds since 1970. Written down before it is asked
    for; while the account has another export under way, nothing happens."""

    group: str
    task_name: str
    bucket: str
    prefix: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"export logs of {self.group} to s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, kw_only=True)
class RecordExport:
    """How the export of a log group stands; kept in the run record."""

    export: LogExport

    def __str__(self) -> str:
        return f"logs of {self.export.group}: {self.export.told or self.export.state}"


@dataclass(frozen=True, kw_only=True)
class ForgetExports:
    """Nothing is left to export: the run's mark goes."""

    def __str__(self) -> str:
        return "all logs of the run are settled"
