"""The lists of what was sent, from which every job's message can be made again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from chalicelib.aws.store import Store
from chalicelib.contract import JobMessage
from chalicelib.core import keys


def sent_jobs(store: Store, run_id: str) -> Iterator[JobMessage]:
    """The messages of all jobs of a run, submission by submission. Those of a window that was
    sent twice come twice."""
    for key in store.list(keys.job_lists(run_id)):
        submission = keys.submission_of_list(key)
        stored = store.read(key)
        lines = gzip.decompress(stored.body).decode().splitlines() if stored else []
        shared = json.loads(lines[0]) if lines else {}
        for job, group, folder in map(json.loads, lines[1:]):
            yield JobMessage(
                **shared,
                group=tuple(group.items()),
                folder=folder,
                job=job,
                run=run_id,
                submission=submission,
            )
