"""What actions work on, and how the function of each is found: by the type of the action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

from chalicelib.aws.clients import Clients
from chalicelib.aws.errors import AwsError, is_not_found
from chalicelib.aws.runs import HeldRecord
from chalicelib.aws.services import Services
from chalicelib.core.run import RunRecord


class Rim:
    """What actions work on: the account's clients and one run's record."""

    def __init__(self, services: Services, run_id: str, held: HeldRecord | None = None):
        self.services = services
        self.run_id = run_id
        self._held = held

    @property
    def aws(self) -> Clients:
        return self.services.clients

    def change(self, change: Callable[[RunRecord], RunRecord | None]) -> RunRecord:
        """Change the run record by compare-and-swap."""
        if self._held is None:
            self._held = self.services.runs.hold(self.run_id)
        return self._held.change(change)

    def remember(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the run record."""
        self.change(lambda record: record.model_copy(update=dict(fields)))


@singledispatch
def carry_out(action: object, _rim: Rim) -> None:
    """Do one action. A test holds that every action has its function."""
    raise TypeError(f"nobody knows how to {action}")


def gone_is_fine(call: Callable[[], object]) -> None:
    try:
        call()
    except AwsError as error:
        if not is_not_found(error):
            raise
