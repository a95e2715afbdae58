"""Jobs that vanished: sent, but neither in the queue nor in the ledger.

Found by comparing the lists of what was sent with the ledger, both read as streams.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from chalicelib.aws import queue
from chalicelib.aws.job_lists import sent_jobs
from chalicelib.aws.services import Services
from chalicelib.contract import (
    DEAD,
    FAILED,
    LOST,
    JobMessage,
    LedgerEntry,
    ledger_prefix,
)
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.config import recorded_config
from chalicelib.core.run import RunRecord

#: Jobs handled between two looks at the clock.
SLICE = 5_000
#: Failures are remembered of at most this many jobs: beyond, a lost job gets all its tries again.
MOST_FAILED = 200_000


def resolve(services: Services, record: RunRecord, *, send_again: bool) -> None:
    """Send lost jobs again, or enter them as dead: those that had their tries, or all.

    Raises DeadlineError between two slices; the next tick begins anew, and workers publish a
    job once however often it is sent.
    """
    ended, failures = _ended(services, record)
    retries = recorded_config(record).job_retries
    lost = _lost(services, record, ended)
    with services.executor() as pool:
        while part := list(islice(lost, SLICE)):
            again = [m for m in part if send_again and failures[_name(m)] < retries]
            given_up = [m for m in part if not send_again or failures[_name(m)] >= retries]
            bodies = (replace(m, failures=failures[_name(m)]).encode() for m in again)
            send = partial(queue.send, services.clients.sqs, record.queue_url)
            list(pool.map(send, queue.batches(bodies)))
            list(pool.map(lambda m: _bury(services, m, failures[_name(m)]), given_up))
            services.check_deadline()


def _name(message: JobMessage) -> str:
    return f"{message.submission}.{message.job}"


def _ended(services: Services, record: RunRecord) -> tuple[CompactSet, Counter[str]]:
    """The jobs with a last word in the ledger, and how often others failed."""
    ended, failures = CompactSet(record.jobs), Counter[str]()
    for key in services.store.list(ledger_prefix(record.run_id)):
        entry = LedgerEntry.parse(key)
        if entry is None:
            continue
        name = f"{entry.submission}.{entry.job}"
        if entry.outcome != FAILED:
            ended.add(name)
        elif name in failures or len(failures) < MOST_FAILED:
            failures[name] += 1
    return ended, failures


def _lost(services: Services, record: RunRecord, ended: CompactSet) -> Iterator[JobMessage]:
    for message in sent_jobs(services.store, record.run_id):
        if ended.add(_name(message)):
            yield message


def _bury(services: Services, message: JobMessage, failures: int) -> None:
    entry = LedgerEntry(
        run=message.run,
        minute=f"{services.now():%Y%m%dT%H%M}",
        submission=message.submission,
        job=message.job,
        attempt=failures + 1,
        outcome=DEAD,
        cause=LOST,
    )
    told = {
        "sentence": "The job's message is gone, and no worker recorded an outcome: workers were "
        "killed on it until SQS moved it to the dead-letter queue, or the queue was purged",
        "group": dict(message.group),
        "folder": message.folder,
    }
    services.store.put(entry.key(), json.dumps(told).encode())
