"""Dead jobs sent again: as a job file of their own, made of the lists of what was sent.

That job file is a submission like any other. It joins the app's live run, or begins a new one by
the app's latest configuration, which may have been mended meanwhile. The file stays below the run
whose jobs it holds: jobs that stand in one were sent again and aren't a second time. Should they
die once more, they are dead jobs of that new submission. Dead letters are left where they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from chalicelib.aws.job_lists import sent_jobs
from chalicelib.aws.services import Services
from chalicelib.aws.store import AlreadyExistsError
from chalicelib.contract import (
    DEAD,
    DONE,
    SKIPPED,
    JobMessage,
    LedgerEntry,
    ledger_prefix,
)
from chalicelib.contract.groups import format_group
from chalicelib.core import keys
from chalicelib.core.api.answers import SubmissionAnswer
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import InputError, Problem
from chalicelib.operations.failures import check_ledger
from chalicelib.operations.submissions import go
from chalicelib.operations.upload import Upload

#: Jobs that one request sends again; the next one takes the rest.
MOST = 50_000
#: In the job files that are made here: the ids of their jobs.
_IDS = "_comment_jobs"


def redrive(
    services: Services,
    run_id: str,
    *,
    jobs: Sequence[str] | None = None,
    causes: Sequence[str] | None = None,
) -> list[SubmissionAnswer]:
    """Send dead jobs of a run again: all, or those with these ids, or of these causes.

    Raises NotFoundError, ConflictError (DCP's workers; another configuration in the way),
    InputError for ids of jobs that aren't dead, and DeadlineError.
    """
    record = services.runs.load(run_id)
    check_ledger(record)
    begun, known = _redriven(services, record)
    answers = [go(services, upload) for upload in begun]
    dead = _dead(services, record)
    _check_ids(jobs, dead)
    wanted = {
        name
        for name, cause in dead.items()
        if name not in known
        and (jobs is None or name.partition(".")[2] in jobs)
        and (causes is None or cause in causes)
    }
    for submission, messages in _chosen(services, record, wanted):
        answers.append(go(services, _store(services, record, submission, messages)))
    return answers


def _dead(services: Services, record: RunRecord) -> dict[str, str]:
    """The cause of each dead job, by `submission.job`; done beats dead."""
    dead: dict[str, str] = {}
    done = CompactSet(record.jobs)
    for key in services.store.list(ledger_prefix(record.run_id)):
        entry = LedgerEntry.parse(key)
        if entry is None:
            continue
        name = f"{entry.submission}.{entry.job}"
        if entry.outcome == DEAD:
            dead[name] = entry.cause
        elif entry.outcome in (DONE, SKIPPED):
            done.add(name)
    # What can be added isn't in it.
    return {name: cause for name, cause in dead.items() if done.add(name)}


def _check_ids(jobs: Sequence[str] | None, dead: Mapping[str, str]) -> None:
    ids = {name.partition(".")[2] for name in dead}
    unknown = [job for job in jobs or () if job not in ids]
    if unknown:
        problems = [
            Problem(
                where="jobs",
                found=job,
                expected="must be a dead job of this run",
                hint="GET /runs/{run}/failures?outcome=dead lists them",
            )
            for job in unknown[:100]
        ]
        raise InputError("jobs", problems, total=len(unknown))


def _redriven(services: Services, record: RunRecord) -> tuple[list[Upload], set[str]]:
    """Earlier redrives that nobody took further than their file, and all jobs of earlier ones."""
    begun: list[Upload] = []
    known: set[str] = set()
    for key in services.store.list(keys.redrives(record.run_id)):
        stored = services.store.read(key)
        if stored is None:
            continue
        upload = _upload(services, record, key)
        submission = key.rsplit("/", 1)[-1].partition("-")[0]
        known |= {f"{submission}.{job}" for job in json.loads(stored.body)[_IDS]}
        if services.store.read(keys.claim(record.app, upload.submission)) is None:
            begun.append(upload)
    return begun, known


def _chosen(
    services: Services, record: RunRecord, wanted: set[str]
) -> Iterator[tuple[str, list[JobMessage]]]:
    """The messages of these jobs, by submission; at most MOST."""
    found: defaultdict[str, dict[str, JobMessage]] = defaultdict(dict)
    left = min(len(wanted), MOST)
    for message in sent_jobs(services.store, record.run_id) if wanted else ():
        if not left:
            break
        name = f"{message.submission}.{message.job}"
        if name in wanted and message.job not in found[message.submission]:
            found[message.submission][message.job] = message
            left -= 1
    for submission, messages in found.items():
        if messages:
            services.check_deadline()
            yield submission, list(messages.values())


def _store(
    services: Services, record: RunRecord, submission: str, messages: Sequence[JobMessage]
) -> Upload:
    """The job file of these jobs, in the bucket. The same jobs give the same file."""
    ids = [message.job for message in messages]
    digest = hashlib.sha256("".join(sorted(ids)).encode()).hexdigest()[:16]
    first = messages[0]
    body: dict[str, Any] = {
        "_comment": f"dead jobs of the run {record.run_id}, sent again",
        _IDS: ids,
        "pipeline": first.pipeline,
        "data_file": first.data_file,
        "input": first.input,
        "output": first.output,
        "output_structure": first.output_structure,
        "groups": [{"Metadata": format_group(message.group)} for message in messages],
    }
    latest = services.runs.latest(record.app)
    if record.fleet_file is not None and (latest is None or latest.phase is Phase.FINISHED):
        body["fleet"] = record.fleet_file
    key = keys.redrive(record.run_id, submission, digest)
    with suppress(AlreadyExistsError):  # somebody else is at the same: it is one submission
        services.store.create(key, json.dumps(body).encode())
    return _upload(services, record, key)


def _upload(services: Services, record: RunRecord, key: str) -> Upload:
    name = key.rsplit("/", 1)[-1].removesuffix(".json")
    return Upload(
        app=record.app,
        name=f"redrive-{name}",
        bucket=services.settings.bucket,
        key=key,
        sequencer=name,
    )
