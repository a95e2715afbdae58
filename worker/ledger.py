"""Writes the outcomes of jobs where the monitor reads them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping

from chalicelib.contract import LedgerEntry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Ledger:
    """The ledger of one run; one without a bucket keeps nothing."""

    s3: S3Client
    bucket: str
    run: str

    def record(
        self,
        submission: str,
        job: str,
        attempt: int,
        outcome: str,
        now: float,
        seconds: float = 0.0,
        cause: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Append an outcome; `now` is seconds since 1970, `details` become the body."""
        if not self.bucket or not self.run:
            return
        entry = LedgerEntry(
            run=self.run,
            minute=time.strftime("%Y%m%dT%H%M", time.gmtime(now)),
            submission=submission,
            job=job,
            attempt=attempt,
            outcome=outcome,
            cause=cause,
            seconds=round(seconds),
        )
        body = json.dumps({"v": 1, "seconds": round(seconds, 1), **(details or {})})
        self.s3.put_object(
            Bucket=self.bucket,
            Key=entry.key(),
            Body=body.encode(),
            ContentType="application/json",
        )
