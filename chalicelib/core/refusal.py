"""Why a job file was refused: for the person who wrote it."""

from __future__ import annotations

import json
from datetime import datetime

from chalicelib.errors import CellFleetError, InputError


def refusal(error: CellFleetError, *, key: str, now: datetime) -> bytes:
    """The refusal as JSON: every reason (at most 100), how many there are, and what to do."""
    if isinstance(error, InputError):
        problems, total = [str(problem) for problem in error.problems], error.total
        what_now = "Nothing was created and no job was sent. Mend the file and upload it again."
    else:
        problems, total = [str(error)], 1
        what_now = "No further job of this file is sent. Upload it again once that is settled."
    return json.dumps(
        {
            "job_file": key,
            "refused_at": now.isoformat(timespec="seconds"),
            "problems": problems,
            "problems_in_all": total,
            "what_now": what_now,
        },
        indent=1,
        ensure_ascii=False,
    ).encode()
