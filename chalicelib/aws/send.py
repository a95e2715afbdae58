"""Send the jobs of a submission: batches, many at once, the cursor saved as they go."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from functools import cache
from itertools import islice

from chalicelib.aws import queue
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
    _spare_the_collector()
    sqs, store = services.clients.sqs, services.store

    def begin(pool: Executor, window: list[Job]) -> list[Future[None]]:
        key = keys.job_list(held.value.run_id, submission, window[0].index)
        listed = pool.submit(store.put, key, job_list(header, window))
        batches = queue.batches(job.body for job in window)
        return [listed, *(pool.submit(queue.send, sqs, queue_url, batch) for batch in batches)]

    with services.executor() as pool:
        window = list(islice(jobs, WINDOW))
        while window:
            under_way, cursor, count = begin(pool, window), window[-1].index + 1, len(window)
            window = list(islice(jobs, WINDOW))  # made ready while the others are on their way
            for request in under_way:
                request.result()
            sent = held.value.sent + count
            held.save(held.value.model_copy(update={"cursor": cursor, "sent": sent}))
            services.check_deadline()


@cache
def _spare_the_collector() -> None:
    """Hide what lives as long as the process from Python's garbage collector, once.

    boto3's models are hundreds of thousands of objects, and each of many requests makes enough
    new ones to have all of them looked at again: a tenth of the time that sending takes.
    """
    gc.collect()
    gc.freeze()


def job_list(header: JobFileHeader, jobs: Iterable[Job]) -> bytes:
    """The jobs sent, compressed: a line of what they share, then id, group and folder of each."""
    shared = {name: getattr(header, name) for name in SHARED}
    lines = (json.dumps([job.job, dict(job.group), job.folder]) for job in jobs)
    return gzip.compress("\n".join([json.dumps(shared), *lines]).encode(), compresslevel=1, mtime=0)
