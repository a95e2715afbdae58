"""How logs are exported. A log group is made in `watch`."""

from __future__ import annotations

from chalicelib.aws import logs
from chalicelib.aws.actions.rim import Rim, carry_out
from chalicelib.core.actions.logs import ExportLogs, ForgetExports, RecordExport


@carry_out.register
def _(action: ExportLogs, rim: Rim) -> None:
    logs.export(rim.services, rim.run_id, action)


@carry_out.register
def _(action: RecordExport, rim: Rim) -> None:
    logs.record(rim.services, rim.run_id, action.export)


@carry_out.register
def _(_action: ForgetExports, rim: Rim) -> None:
    logs.forget(rim.services, rim.run_id)
