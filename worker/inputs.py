"""Fetches a job's inputs from S3 and holds them while a job needs them.

Slots share the files below the mount: a file is downloaded once, to a temporary name that is
then renamed, and removed when the last job that needs it is over.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import contract
from worker.failures import Check, JobFailure, error_code, explain
from worker.pictures import damage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_PARALLEL = 4
_SMALL = 16 * 2**20
_PLAIN_MD5 = re.compile(r'^"[0-9a-f]{32}"$')


@dataclass(frozen=True)
class Wanted:
    """An object to fetch, where to, and the words that name it to the user. One that is
    `optional` may be missing."""

    bucket: str
    key: str
    path: Path
    what: str
    optional: bool = False

    @property
    def address(self) -> str:
        """Where it is."""
        return "s3://%s/%s" % (self.bucket, self.key)


@dataclass
class _Held:
    """A file below the mount: how many jobs hold it, and whether it is there."""

    jobs: int = 0
    ready: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Inputs:
    """The downloaded files of one container, shared by its slots."""

    def __init__(self, s3: S3Client):
        self._s3 = s3
        self._lock = threading.Lock()
        self._held: dict[Path, _Held] = {}

    @contextmanager
    def hold(self, wanted: Sequence[Wanted], check: Check) -> Iterator[None]:
        """The files are on the disk inside the `with`. Raises JobFailure, Cancelled."""
        unique = list({item.path: item for item in wanted}.values())
        with self._lock:
            for item in unique:
                self._held.setdefault(item.path, _Held()).jobs += 1
        try:
            with ThreadPoolExecutor(_PARALLEL) as pool:
                # In order, so that of several missing files the first is named.
                for _ in pool.map(lambda item: self._ensure(item, check), unique):
                    pass
            yield
        finally:
            self._release(unique)

    def _ensure(self, item: Wanted, check: Check) -> None:
        with self._lock:
            held = self._held[item.path]
        with held.lock:
            if not held.ready:
                check()
                try:
                    download(self._s3, item)
                except JobFailure as failure:
                    if not (item.optional and failure.cause == contract.INPUT):
                        raise
                held.ready = True

    def _release(self, items: Sequence[Wanted]) -> None:
        with self._lock:
            for item in items:
                held = self._held[item.path]
                held.jobs -= 1
                if not held.jobs:
                    del self._held[item.path]
                    # The folders stay: a sibling may be about to put a file there.
                    if item.path.exists():
                        item.path.unlink()


def etag_of(s3: S3Client, item: Wanted) -> str:
    """The ETag of an object's present version. Raises JobFailure, as `download`."""
    try:
        return s3.head_object(Bucket=item.bucket, Key=item.key)["ETag"]
    except ClientError as error:
        raise _refused(error, item, item.address) from error
    except BotoCoreError as error:
        raise explain(error, "looking at %s" % item.address, contract.DOWNLOAD) from error


def download(s3: S3Client, item: Wanted) -> str:
    """Fetch one object whole, or not at all; returns its ETag.

    Raises JobFailure: `input` when it is missing, empty or a truncated TIFF, `download` when
    what arrived isn't what S3 has.
    """
    temporary = item.path.with_name("%s.%s.part" % (item.path.name[:100], uuid.uuid4().hex[:8]))
    address = item.address
    try:
        answer = s3.get_object(Bucket=item.bucket, Key=item.key)
        if not answer["ContentLength"]:
            raise JobFailure(contract.INPUT, "%s: %s is an empty file" % (item.what, address))
        item.path.parent.mkdir(parents=True, exist_ok=True)
        if not _written(answer, temporary):
            s3.download_file(item.bucket, item.key, str(temporary))
        _verify(temporary, answer, item.what, address)
        temporary.rename(item.path)
        return answer["ETag"]
    except ClientError as error:
        raise _refused(error, item, address) from error
    except (OSError, BotoCoreError) as error:
        raise explain(error, "downloading %s" % address, contract.DOWNLOAD) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _written(answer: GetObjectOutputTypeDef, path: Path) -> bool:
    """Write a small object, with the one request that told what it is. False for a large one, or
    when it broke off: it has to be fetched in parts, which are asked for again where they fail."""
    with contextlib.closing(answer["Body"]) as body:
        if answer["ContentLength"] > _SMALL:
            return False
        try:
            with path.open("wb") as file:
                for block in body.iter_chunks(1 << 20):
                    file.write(block)
        except BotoCoreError:
            return False
    return True


def _refused(error: ClientError, item: Wanted, address: str) -> JobFailure:
    code = error_code(error)
    if code in ("404", "NoSuchKey", "NotFound"):
        return JobFailure(contract.INPUT, "%s: there is no %s" % (item.what, address))
    if code == "NoSuchBucket":
        return JobFailure(contract.INPUT, "%s: there is no bucket %s" % (item.what, item.bucket))
    return explain(error, "downloading %s" % address, contract.DOWNLOAD)


def _verify(path: Path, head: GetObjectOutputTypeDef, what: str, address: str) -> None:
    size = path.stat().st_size
    if size != head["ContentLength"]:
        raise JobFailure(
            contract.DOWNLOAD,
            "%s arrived with %d bytes, S3 has %d" % (address, size, head["ContentLength"]),
        )
    if _has_md5(head) and _md5(path) != head["ETag"].strip('"'):
        raise JobFailure(contract.DOWNLOAD, "%s arrived changed: its MD5 differs" % address)
    broken = damage(str(path))
    if broken:
        raise JobFailure(
            contract.INPUT,
            "%s: the image %s is damaged (%s); CellProfiler would measure what is left of it"
            % (what, address, broken),
        )


def _has_md5(head: GetObjectOutputTypeDef) -> bool:
    """An ETag is the content's MD5 only for single uploads without KMS or customer keys."""
    encrypted = head.get("ServerSideEncryption", "AES256") != "AES256"
    own_key = "SSECustomerAlgorithm" in head
    return bool(_PLAIN_MD5.match(head["ETag"])) and not encrypted and not own_key


def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
