"""The ledger, read from key listings alone.

While a run goes on, only the last minutes are listed again each time; what lies before them
was counted once and is carried in the status. Before a run is declared over, the whole ledger
is listed, and jobs are told apart exactly.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.aws.store import Store
from chalicelib.contract import DEAD, DONE, FAILED, SKIPPED, LedgerEntry, ledger_prefix
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.observation import Progress

#: Entries may be written this late, and clocks differ.
OPEN_FOR = timedelta(minutes=15)


class Tally(BaseModel):
    """Outcomes in all minutes before `minute` (YYYYMMDDTHHMM): final, counted once."""

    model_config = ConfigDict(frozen=True)

    minute: str = ""
    done: int = 0
    dead: int = 0
    failures: int = 0


def read(store: Store, run_id: str, before: Tally, now: datetime) -> tuple[Progress, Tally]:
    """Progress so far, and the tally to go on from next time. Repetitions may count twice."""
    prefix = ledger_prefix(run_id)
    closing = f"{now - OPEN_FOR:%Y%m%dT%H%M}"
    closed, still_open = Counter[str](), Counter[str]()
    for key in store.list(prefix, after=prefix + before.minute if before.minute else ""):
        entry = LedgerEntry.parse(key)
        if entry is not None:
            (closed if entry.minute < closing else still_open)[entry.outcome] += 1
    tally = Tally(
        minute=max(closing, before.minute),
        done=before.done + closed[DONE] + closed[SKIPPED],
        dead=before.dead + closed[DEAD],
        failures=before.failures + closed[FAILED],
    )
    progress = Progress(
        done=tally.done + still_open[DONE] + still_open[SKIPPED],
        dead=tally.dead + still_open[DEAD],
        failures=tally.failures + still_open[FAILED],
    )
    return progress, tally


def read_all(store: Store, run_id: str, jobs: int) -> Progress:
    """The exact count of distinct jobs that ended; done beats dead. Memory: 32 bytes a job."""
    done, ended = CompactSet(jobs), CompactSet(jobs)
    per_submission, failures = Counter[str](), 0
    for key in store.list(ledger_prefix(run_id)):
        entry = LedgerEntry.parse(key)
        if entry is None:
            continue
        if entry.outcome == FAILED:
            failures += 1
            continue
        name = f"{entry.submission}.{entry.job}"
        if entry.outcome in (DONE, SKIPPED):
            done.add(name)
        if ended.add(name):
            per_submission[entry.submission] += 1
    return Progress(
        done=len(done),
        dead=len(ended) - len(done),
        failures=failures,
        exact=True,
        ended=dict(per_submission),
    )
