"""Jobs that vanished: sent, but neither in the queue nor in the ledger.

Found by comparing the lists of what was sent with the ledger, both read as streams.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from chalicelib.aws import queue
from chalicelib.aws.services import Services
from chalicelib.contract import (
    DEAD,
    FAILED,
    LOST,
    JobMessage,
    LedgerEntry,
    ledger_prefix,
)
from chalicelib.core import keys
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.config import parse_keys
from chalicelib.core.run import RunRecord

#: Jobs resolved in one go; a later tick takes the rest.
AT_ONCE = 5_000


def resolve(services: Services, record: RunRecord, *, send_again: bool) -> None:
    """Send lost jobs again, or enter them as dead: those that had their tries, or all."""
    lost = list(islice(_lost(services, record), AT_ONCE))
    failures = _failures(services, record.run_id, lost)
    retries = parse_keys(record.config, record.run_id).config.job_retries
    batcher = queue.Batcher()
    for message in lost:
        failed = failures[message.submission, message.job]
        if send_again and failed < retries:
            _send(services, record, batcher.add(_with_failures(message, failed).encode()))
        else:
            _bury(services, message, failed)
    _send(services, record, batcher.rest())


def _send(services: Services, record: RunRecord, batch: queue.Batch | None) -> None:
    if batch is not None:
        queue.send(services.clients.sqs, record.queue_url, batch)


def _with_failures(message: JobMessage, failures: int) -> JobMessage:
    for _ in range(failures):
        message = message.after_failure()
    return message


def _lost(services: Services, record: RunRecord) -> Iterator[JobMessage]:
    ended = CompactSet(record.jobs)
    for entry in _entries(services, record.run_id):
        if entry.outcome != FAILED:
            ended.add(f"{entry.submission}.{entry.job}")
    for key in services.store.list(keys.job_lists(record.run_id)):
        submission = keys.submission_of_list(key)
        stored = services.store.read(key)
        lines = gzip.decompress(stored.body).decode().splitlines() if stored else []
        shared = json.loads(lines[0]) if lines else {}
        for job, group, folder in map(json.loads, lines[1:]):
            if ended.add(f"{submission}.{job}"):
                yield JobMessage(
                    **shared,
                    group=tuple(group.items()),
                    folder=folder,
                    job=job,
                    run=record.run_id,
                    submission=submission,
                )


def _failures(
    services: Services, run_id: str, lost: Iterable[JobMessage]
) -> Counter[tuple[str, str]]:
    wanted = {(message.submission, message.job) for message in lost}
    return Counter(
        (entry.submission, entry.job)
        for entry in _entries(services, run_id)
        if (entry.submission, entry.job) in wanted
    )


def _entries(services: Services, run_id: str) -> Iterator[LedgerEntry]:
    for key in services.store.list(ledger_prefix(run_id)):
        entry = LedgerEntry.parse(key)
        if entry is not None:
            yield entry


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
