"""One tick of one run: from what is observed to what to do. Pure; called again until it has
nothing to add.

    open          machines for the jobs there are; over when every job is in the ledger
    ending        nothing new; a submission may still turn it back to open
    tearing-down  everything of the run's own is removed, each tick retrying what is left
    finished      nothing
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.actions.record import ChangePhase, ResolveMissing
from chalicelib.core.config import RunConfig
from chalicelib.core.early_stop import decide_early_stop
from chalicelib.core.health import decide_health
from chalicelib.core.notices import decide_notices
from chalicelib.core.observation import Observation
from chalicelib.core.on_demand import decide_on_demand
from chalicelib.core.plan import Plan
from chalicelib.core.run import COMPLETE, STOPPED, Phase, Result, RunRecord
from chalicelib.core.scale_in import decide_scale_in
from chalicelib.core.start import decide_start
from chalicelib.core.teardown import decide_teardown

#: SQS counts lag: a queue is believed to be empty after this many readings over this time.
EMPTY_READINGS = 5
EMPTY_FOR = timedelta(minutes=3)
#: How often jobs whose messages were lost are sent again before they are given up.
RESENDS = 2


def decide(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """What to do now."""
    match record.phase:
        case Phase.OPEN:
            if is_over(record, seen) and (config.auto_monitor or record.monitored):
                return (ChangePhase(phase=Phase.ENDING, outcome=COMPLETE),)
            if given_up := decide_health(record, config, seen):
                return (*given_up, *decide_notices(record, config, seen))
            return (
                *decide_early_stop(record, config, seen),
                *_missing(record, seen),
                *decide_on_demand(record, config, seen),
                *decide_start(record, config, seen),
                *decide_scale_in(record, config, seen),
                *decide_notices(record, config, seen),
            )
        case Phase.ENDING:
            if record.outcome == STOPPED or is_over(record, seen):
                result = result_of(record, seen)
                outcome = record.outcome
                return (ChangePhase(phase=Phase.TEARING_DOWN, outcome=outcome, result=result),)
            return (ChangePhase(phase=Phase.OPEN),)
        case Phase.TEARING_DOWN:
            # Told first: the last action of a teardown is the last of the run.
            return (
                *decide_notices(record, config, seen),
                *decide_teardown(record, config, seen),
            )
        case Phase.FINISHED:
            return ()


def is_over(record: RunRecord, seen: Observation) -> bool:
    """Whether every job of every submission has ended.

    A CellFleet worker's ledger says so exactly. DCP's workers keep none: there, only a queue
    that was empty again and again tells.
    """
    if not record.closed:
        return False
    if record.worker == "dcp":
        return _is_empty(seen)
    return seen.progress.exact and all(
        seen.progress.ended.get(name, 0) >= submission.jobs
        for name, submission in record.submissions.items()
    )


def result_of(record: RunRecord, seen: Observation) -> Result:
    """How the jobs ended, as far as anybody knows."""
    progress = seen.progress
    return Result(
        at=seen.now,
        done=progress.done,
        dead=progress.dead,
        exact=progress.exact and record.outcome != STOPPED and record.worker != "dcp",
        causes=dict(progress.dead_by),
        dead_of=dict(progress.dead_of),
    )


def _is_empty(seen: Observation) -> bool:
    """Whether the queue may be believed to be empty."""
    return (
        seen.empty_since is not None
        and seen.empty_readings >= EMPTY_READINGS
        and seen.now - seen.empty_since >= EMPTY_FOR
    )


def _missing(record: RunRecord, seen: Observation) -> Plan:
    """The queue is empty and jobs have no outcome: their messages are lost.

    SQS moves a message to the dead letters by itself when it was taken too often, for example
    by workers that were killed; or somebody purged the queue. Twice they are sent again.
    """
    if is_over(record, seen):
        return ()  # and only waits for somebody to watch
    waited = record.resent_at is None or seen.now - record.resent_at >= EMPTY_FOR
    if record.worker == "dcp" or not record.closed or not _is_empty(seen) or not waited:
        return ()
    return (ResolveMissing(send_again=seen.queue is not None and record.resent < RESENDS),)
