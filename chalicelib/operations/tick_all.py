"""One pass of the monitor over all live runs, within a Lambda's time.

Runs are taken in order of their ids. A pass that runs out of time notes the run that comes
next, and the following one begins there, so that each has its turn however many there are. A
run whose tick hangs holds its own lease: the pass of the next minute leaves it out, and goes on
to the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from aws_lambda_powertools import Logger

from chalicelib.aws.log import bound
from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.turn import in_turn
from chalicelib.errors import DeadlineError
from chalicelib.operations.tick import Status, tick_run

log = Logger(service="cellfleet", child=True)

#: A run's tick is begun only while this much time is left, so that it can end.
_ENOUGH = timedelta(seconds=30)


def tick_all(services: Services) -> Iterator[Status]:
    """One tick of every live run. One run's trouble never keeps the others waiting.

    Raises DeadlineError when there is no time for the next one.
    """
    noted = services.store.read(keys.NEXT_RUN)
    for run_id in in_turn(services.runs.live(), noted.body.decode() if noted else ""):
        try:
            services.check_deadline(_ENOUGH)
        except DeadlineError:
            services.store.put(keys.NEXT_RUN, run_id.encode())
            log.warning("out of time: the next pass begins with this run", extra={"run_id": run_id})
            raise
        status = _tick(services, run_id)
        if status is not None:
            yield status
    if noted is not None:
        services.store.delete(keys.NEXT_RUN)


def _tick(services: Services, run_id: str) -> Status | None:
    try:
        return tick_run(services, run_id)
    except Exception:
        with bound(run_id=run_id):
            log.exception("tick failed, and its status can't be written")
        return None
