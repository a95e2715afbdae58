"""Puts a job's outputs where users find them: one coherent set, however often the job ran.

Claim the commit, upload, remove what an earlier attempt left, seal the commit. Whoever finds
the commit changed by another stops and touches nothing more.
"""

from __future__ import annotations

import hashlib
import mimetypes
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import contract
from worker.commit import PUBLISHED, PUBLISHING, STALE_SECONDS, CommitFile, Overtaken
from worker.failures import LEASE_LOST, Cancelled, Check, explain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REFRESH_SECONDS = STALE_SECONDS / 10
#: After so long without a refresh another may be about to take over: begin no further file.
_DOUBT_SECONDS = STALE_SECONDS / 2


class Busy(Exception):
    """Another worker is publishing the same job."""


class AlreadyPublished(Exception):
    """Another worker has published the same job."""


@dataclass(frozen=True)
class Destination:
    """Where the outputs go: `folder` is a key prefix without a trailing slash; `arguments`
    are those of S3 uploads."""

    s3: S3Client
    bucket: str
    folder: str
    arguments: Mapping[str, Any]

    def key(self, name: str) -> str:
        """The key of an output file."""
        return "%s/%s" % (self.folder, name)

    def upload(self, source: Path, name: str) -> None:
        """Put one file. Raises JobFailure (`upload`, `permission`)."""
        kind = mimetypes.guess_type(name)[0]
        arguments = {**({"ContentType": kind} if kind else {}), **self.arguments}
        try:
            self.s3.upload_file(
                str(source / name), self.bucket, self.key(name), ExtraArgs=arguments
            )
        except (ClientError, BotoCoreError, S3UploadFailedError, OSError) as error:
            cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
            doing = "uploading s3://%s/%s" % (self.bucket, self.key(name))
            raise explain(cause or error, doing, contract.UPLOAD) from error


class Publication:
    """One attempt at publishing one job's outputs. `attempt` is unique to it."""

    def __init__(
        self, commit: CommitFile, destination: Destination, attempt: str,
        clock: Callable[[], float],
    ):  # fmt: skip
        self._commit = commit
        self._to = destination
        self._attempt = attempt
        self._clock = clock
        self._lock = threading.Lock()
        self._manifest: list[dict[str, Any]] = []
        self._leftovers: frozenset[str] = frozenset()
        self._etag = ""
        self._refreshed = 0.0
        self._overtaken = False

    def publish(self, source: Path, files: Sequence[Path], check: Check) -> None:
        """All steps. `files` are relative to the folder `source`.

        Raises Busy, AlreadyPublished, Cancelled and JobFailure.
        """
        self._manifest = manifest(source, files)
        self._claim()
        try:
            for entry in self._manifest:
                check()
                self.refresh()
                self._doubt()
                self._to.upload(source, entry["name"])
            self._remove_leftovers()
            self._write(PUBLISHED)
        except Overtaken:
            raise Cancelled(LEASE_LOST) from None
        except Exception:
            self._abandon()
            raise

    def refresh(self) -> None:
        """Show that we are alive, at most once a minute; also called by the heartbeat."""
        if not self._etag or self._clock() - self._refreshed < _REFRESH_SECONDS:
            return
        try:
            self._write(PUBLISHING)
        except Overtaken:
            self._overtaken = True
        except Exception as error:
            print("The commit couldn't be refreshed, trying again: %s" % error, flush=True)

    def _claim(self) -> None:
        """Begin, or take over what another began and didn't finish."""
        found = self._commit.read()
        if found is not None:
            if found.published:
                raise AlreadyPublished
            if not found.free and found.attempt != self._attempt:
                raise Busy
            ours = {entry["name"] for entry in self._manifest}
            self._leftovers = (found.names | found.leftovers) - ours
        try:
            with self._lock:
                self._put(found.etag if found else "", PUBLISHING)
        except Overtaken:
            raise Busy from None

    def _write(self, state: str) -> None:
        with self._lock:
            if self._etag:
                self._put(self._etag, state)
                if state == PUBLISHED:
                    self._etag = ""

    def _put(self, etag: str, state: str) -> None:
        leftovers = self._leftovers if state == PUBLISHING else frozenset()
        asked = self._clock()
        self._etag = self._commit.write(etag, state, self._attempt, self._manifest, leftovers)
        self._refreshed = asked

    def _doubt(self) -> None:
        if self._overtaken or self._clock() - self._refreshed > _DOUBT_SECONDS:
            raise Overtaken

    def _remove_leftovers(self) -> None:
        for name in sorted(self._leftovers):
            self._doubt()
            self._to.s3.delete_object(Bucket=self._to.bucket, Key=self._to.key(name))

    def _abandon(self) -> None:
        """Leave the publication to whoever comes next, without making them wait."""
        try:
            with self._lock:
                etag, self._etag = self._etag, ""
                if etag and not self._overtaken:
                    self._commit.write(etag, PUBLISHING, "", self._manifest, self._leftovers)
        except Exception as error:
            print("The commit couldn't be given up; it will go stale: %s" % error, flush=True)


def manifest(source: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """What a commit says of its files."""
    return [
        {
            "name": file.as_posix(),
            "size": (source / file).stat().st_size,
            "sha256": _sha256(source / file),
        }
        for file in files
    ]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
