"""Carry out a plan: each action on its own, each idempotent, errors collected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from chalicelib.aws.actions import Rim, carry_out
from chalicelib.aws.errors import AwsError, code
from chalicelib.aws.runs import HeldRecord
from chalicelib.aws.services import Services
from chalicelib.core.actions.logs import ForgetExports
from chalicelib.core.actions.machines import RequestFleet
from chalicelib.core.actions.record import Notify, Remember
from chalicelib.core.plan import Plan
from chalicelib.errors import CellFleetError, NotReadyError

log = Logger(service="cellfleet", child=True)


#: Left out when something before them failed.
_BUILDS_ON = Remember | RequestFleet | ForgetExports


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An action that AWS, or the state of things, didn't allow."""

    action: str
    reason: str
    #: Whether what follows may build on it. A notice that wasn't sent holds up nothing.
    blocking: bool = True

    def __str__(self) -> str:
        return f"{self.action}: {self.reason}"


def execute(
    services: Services,
    run_id: str,
    plan: Plan,
    *,
    held: HeldRecord | None = None,
    renew: Callable[[], None] = lambda: None,
) -> tuple[Failure, ...]:
    """Do everything in the plan. Returns what failed; the next tick tries it again.

    `held` is the run's record where the caller has it; `renew` is called before each action.
    Raises NotReadyError where something must end first, and what `renew` raises.
    """
    rim = Rim(services, run_id, held)
    failures: list[Failure] = []
    for action in plan:
        renew()
        if isinstance(action, _BUILDS_ON) and any(f.blocking for f in failures):
            continue
        try:
            carry_out(action, rim)
        except NotReadyError:
            raise
        except (*AwsError, CellFleetError) as error:
            reason = f"{code(error)}: {error}" if code(error) else str(error)
            log.warning("action failed", extra={"action": str(action), "reason": reason})
            blocking = not isinstance(action, Notify)
            failures.append(Failure(action=str(action), reason=reason, blocking=blocking))
        else:
            log.info("done", extra={"action": str(action)})
    return tuple(failures)
