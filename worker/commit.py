"""The commit of a job's outputs: one S3 object, changed by compare-and-swap only."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Sequence

from botocore.exceptions import ClientError

from chalicelib import contract
from worker.failures import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUBLISHING = "publishing"
PUBLISHED = "published"
#: A publisher that hasn't refreshed its commit for so long, in seconds, is taken for dead.
STALE_SECONDS = 600.0

_CONFLICT_TRIES = 5


class _Conflict(Exception):
    """S3 could not decide a conditional write."""


class Overtaken(Exception):
    """The commit isn't what we last saw: somebody else has changed it."""


@dataclass(frozen=True)
class Commit:
    """A commit as it was read. `age` is the time since its last change, in seconds of S3's
    clock; `names` are its files, `leftovers` those of earlier attempts still to be removed."""

    state: str
    attempt: str
    names: frozenset[str]
    leftovers: frozenset[str]
    etag: str
    age: float

    @property
    def published(self) -> bool:
        """Whether the job's outputs are complete."""
        return self.state == PUBLISHED

    @property
    def free(self) -> bool:
        """Whether a publication was begun that nobody is finishing."""
        return not self.published and (not self.attempt or self.age > STALE_SECONDS)


@dataclass(frozen=True)
class CommitFile:
    """Where one job's commit is. Raises ClientError for what it doesn't expect."""

    s3: S3Client
    bucket: str
    key: str
    sleep: Callable[[float], None] = time.sleep

    def read(self) -> Commit | None:
        """The commit as it is now; None if there is none."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self.key)
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None
            raise
        data = json.loads(answer["Body"].read())
        # Both times are S3's, so that a machine's clock doesn't matter.
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        age = parsedate_to_datetime(date) - answer["LastModified"]
        return Commit(
            state=data["state"],
            attempt=data["attempt"],
            names=frozenset(file["name"] for file in data["files"]),
            leftovers=frozenset(data.get("leftovers", ())),
            etag=answer["ETag"],
            age=age.total_seconds(),
        )

    def write(
        self,
        etag: str,
        state: str,
        attempt: str,
        manifest: Sequence[dict[str, Any]],
        leftovers: frozenset[str] = frozenset(),
    ) -> str:
        """Replace the commit whose ETag is `etag`, or create it where that is "".

        Returns the new ETag. Raises Overtaken. A write that had arrived although its answer
        was lost is recognised.
        """
        body = contract.commit_body(state, attempt, list(manifest), leftovers)
        try:
            return self._put(etag, body)
        except ClientError as error:
            if error_code(error) not in ("PreconditionFailed", "412", "NoSuchKey"):
                raise
        now = self.read()
        if now is not None and attempt and (now.state, now.attempt) == (state, attempt):
            return now.etag
        raise Overtaken(self.key)

    def _put(self, etag: str, body: str) -> str:
        # 409: somebody else's write was under way. What came of it only another try tells.
        for _ in range(_CONFLICT_TRIES):
            with suppress(_Conflict):
                return self._put_once(etag, body)
            self.sleep(1.0)
        return self._put_once(etag, body)

    def _put_once(self, etag: str, body: str) -> str:
        put = partial(self.s3.put_object, Bucket=self.bucket, Key=self.key, Body=body.encode())
        try:
            answer = put(IfMatch=etag) if etag else put(IfNoneMatch="*")
            return answer["ETag"]
        except ClientError as error:
            if error_code(error) == "ConditionalRequestConflict":
                raise _Conflict from error
            raise
