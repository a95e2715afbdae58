"""Send the jobs of a submission: batches, many at once, the cursor saved as they go."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from chalicelib.aws import queue
from chalicelib.aws.clients import SENDERS
from chalicelib.aws.lease import Held
from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.jobfile import Job, JobFileHeader

#: Jobs between two saves of the cursor: at most this many are sent twice after a crash.
WINDOW = 5_000
#: What all jobs of a job file share.
SHARED = ("pipeline", "data_file", "input", "output", "output_structure")


def send_jobs(
    services: Services,
    held: Held[Claim],
    jobs: Iterator[Job],
    header: JobFileHeader,
    *,
    submission: str,
    queue_url: str,
) -> None:
    """Send every job from the claim's cursor on.

    Each window's jobs are listed in the deployment bucket and sent; when all of it is
    acknowledged, the cursor moves. Raises DeadlineError between two windows, LeaseLostError
    when another process has taken over.
    """
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as pool:
        while window := list(islice(jobs, WINDOW)):
            pending = [
                pool.submit(
                    services.store.put,
                    keys.job_list(held.value.run_id, submission, window[0].index),
                    job_list(header, window),
                ),
                *_send(pool, services, window, queue_url),
            ]
            for future in pending:
                future.result()
            claim = held.value
            held.save(
                claim.model_copy(
                    update={"cursor": window[-1].index + 1, "sent": claim.sent + len(window)}
                )
            )
            services.check_deadline()


def _send(
    pool: ThreadPoolExecutor, services: Services, jobs: Iterable[Job], queue_url: str
) -> Iterator[Future[None]]:
    batcher = queue.Batcher()
    for job in jobs:
        if batch := batcher.add(job.body):
            yield pool.submit(queue.send, services.clients.sqs, queue_url, batch)
    if batch := batcher.rest():
        yield pool.submit(queue.send, services.clients.sqs, queue_url, batch)


def job_list(header: JobFileHeader, jobs: Iterable[Job]) -> bytes:
    """The jobs sent, compressed: a line of what they share, then id, group and folder of each."""
    shared = {name: getattr(header, name) for name in SHARED}
    lines = (json.dumps([job.job, dict(job.group), job.folder]) for job in jobs)
    return gzip.compress("\n".join([json.dumps(shared), *lines]).encode(), compresslevel=1, mtime=0)
