"""Objects in the deployment bucket: read, conditional writes, listings.

S3's conditional writes are the only synchronisation there is: `create` succeeds for one
caller, `replace` for whoever saw the latest version. Callers re-read and decide anew.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import ClientError

from chalicelib.aws.errors import code, is_not_found
from chalicelib.errors import CellFleetError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Job files up to this size, in bytes, are read once and kept; larger ones are streamed each time.
IN_MEMORY = 4 * 2**20
#: How often a write is tried again when S3 says that another one is under way (409).
_TRIES = 5


class AlreadyExistsError(CellFleetError):
    """`create` found an object under the key."""


class ChangedError(CellFleetError):
    """`replace` found another version, or none."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object's content and the ETag to replace it by."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    etag: str
    modified: datetime


@dataclass(frozen=True, kw_only=True)
class ObjectVersion:
    """One version of one object: later reads see the same bytes, or fail."""

    bucket: str
    key: str
    version: str
    etag: str
    size: int


class Store:
    """One bucket."""

    def __init__(self, s3: S3Client, bucket: str):
        self.s3 = s3
        self.bucket = bucket

    def read(self, key: str) -> Stored | None:
        """The object, or None."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if is_not_found(error):
                return None
            raise
        return Stored(body=answer["Body"].read(), etag=answer["ETag"])

    def create(self, key: str, body: bytes) -> str:
        """Write a new object; its ETag. Raises AlreadyExistsError."""
        return self._conditional(key, body, {"IfNoneMatch": "*"}, AlreadyExistsError)

    def replace(self, key: str, body: bytes, etag: str) -> str:
        """Write over the version with this ETag; the new ETag. Raises ChangedError."""
        return self._conditional(key, body, {"IfMatch": etag}, ChangedError)

    def _conditional(
        self, key: str, body: bytes, condition: dict[str, str], lost: type[Exception]
    ) -> str:
        for attempt in range(_TRIES):
            try:
                answer = self.s3.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                if code(error) == "PreconditionFailed" or is_not_found(error):
                    # A write that timed out after its effect is retried, and then loses to itself.
                    stored = self.read(key)
                    if stored is not None and stored.body == body:
                        return stored.etag
                    raise lost(key) from error
                if code(error) != "ConditionalRequestConflict" or attempt == _TRIES - 1:
                    raise
            else:
                return answer["ETag"]
        raise AssertionError("unreachable")

    def put(self, key: str, body: bytes) -> None:
        """Write, whatever is there."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Delete; nothing there is fine."""
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        """The keys under a prefix, in order, from behind `after` on; 1,000 a call."""
        for entry in self.entries(prefix, after):
            yield entry.key

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The same, with what a listing tells of each object."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after
        )
        for page in pages:
            for item in page.get("Contents", []):
                yield Entry(item["Key"], item["ETag"], item["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        """The names of the folders right under a prefix that ends with "/"; 1,000 a call."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter="/"
        )
        for page in pages:
            for item in page.get("CommonPrefixes", []):
                yield item["Prefix"].removeprefix(prefix).removesuffix("/")

    def page(
        self, prefix: str, after: str, most: int, *, folders: bool = False
    ) -> tuple[tuple[str, ...], bool]:
        """At most `most` (1,000) keys behind `after` in order, and whether more follow. One call.

        `folders`: the names of the folders right under the prefix, which ends with "/", instead.
        """
        answer = self.s3.list_objects_v2(
            Bucket=self.bucket,
            Prefix=prefix,
            StartAfter=after,
            MaxKeys=most,
            **({"Delimiter": "/"} if folders else {}),  # type: ignore[arg-type]
        )
        found = (
            tuple(item["Prefix"] for item in answer.get("CommonPrefixes", ()))
            if folders
            else tuple(item["Key"] for item in answer.get("Contents", ()))
        )
        return found, answer["IsTruncated"]

    def link(self, key: str, seconds: int) -> str:
        """A link by which anybody may read this one object, for so long."""
        return self.s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
        )

    def link_to_put(self, key: str, seconds: int) -> str:
        """A link by which anybody may write this one object, for so long."""
        return self.s3.generate_presigned_url(
            "put_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
        )


def head(s3: S3Client, bucket: str, key: str, *, version: str = "") -> ObjectVersion | None:
    """Which version of an object is there (or this one); None if there is none."""
    try:
        if version:
            answer = s3.head_object(Bucket=bucket, Key=key, VersionId=version)
        else:
            answer = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version=answer.get("VersionId", ""),
        etag=answer["ETag"],
        size=answer["ContentLength"],
    )


class ObjectReader:
    """Opens the same version of an object again and again.

    A small object is fetched once; a large one is streamed by each reader, pinned to its ETag.
    """

    def __init__(self, s3: S3Client, version: ObjectVersion):
        self._s3 = s3
        self._version = version
        self._bytes: bytes | None = None

    def __call__(self) -> BinaryIO:
        if self._bytes is not None:
            return io.BytesIO(self._bytes)
        stream = self._get()
        if self._version.size > IN_MEMORY:
            return stream
        self._bytes = stream.read()
        return io.BytesIO(self._bytes)

    def _get(self) -> BinaryIO:
        version = self._version
        extra = {"VersionId": version.version} if version.version not in ("", "null") else {}
        answer = self._s3.get_object(
            Bucket=version.bucket,
            Key=version.key,
            IfMatch=version.etag,
            **extra,  # type: ignore[arg-type]
        )
        return answer["Body"]  # type: ignore[return-value]
