"""S3: objects with conditional writes, versions, and listings in pages."""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.sim.errors import aws_error

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass(frozen=True, kw_only=True)
class Object:
    body: bytes
    etag: str
    version: str
    modified: datetime


@dataclass
class Bucket:
    """Its objects by key, the keys in order, and every version that there ever was."""

    versioned: bool
    objects: dict[str, Object] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    versions: dict[tuple[str, str], Object] = field(default_factory=dict)

    def set(self, key: str, found: Object) -> None:
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = found
        if self.versioned:
            self.versions[key, found.version] = found

    def remove(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def below(self, prefix: str) -> list[str]:
        first = bisect_left(self.keys, prefix)
        last = bisect_left(self.keys, prefix + "\U0010ffff")
        return self.keys[first:last]


class S3:
    """The service. Every write is seen by the next read, as AWS promises."""

    def __init__(self, world: World):
        self._world = world
        self.buckets: dict[str, Bucket] = {}
        self._writes = 0

    def make(self, name: str, *, versioned: bool) -> Bucket:
        return self.buckets.setdefault(name, Bucket(versioned=versioned))

    def write(self, bucket: str, key: str, body: bytes) -> Object:
        """Put an object, as anybody but the control plane does."""
        found = self.buckets[bucket]
        self._writes += 1
        written = Object(
            body=body,
            etag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"',
            version=f"v{self._writes:06d}" if found.versioned else "null",
            modified=self._world.time.moment().replace(microsecond=0),
        )
        found.set(key, written)
        return written

    def read(self, bucket: str, key: str) -> bytes | None:
        found = self.buckets[bucket].objects.get(key)
        return found.body if found else None

    # --- what AWS offers -------------------------------------------------------------------------

    def put_object(
        self,
        Bucket: str,
        Key: str,
        Body: bytes | str,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
    ) -> dict[str, Any]:
        self.check(Bucket, Key, IfMatch, IfNoneMatch)
        body = Body.encode() if isinstance(Body, str) else bytes(Body)
        written = self.write(Bucket, Key, body)
        answer: dict[str, Any] = {"ETag": written.etag}
        if self.buckets[Bucket].versioned:
            answer["VersionId"] = written.version
        return answer

    def check(self, bucket: str, key: str, match: str | None, none_match: str | None) -> None:
        found = self._bucket(bucket).objects.get(key)
        if none_match is not None:
            assert none_match == "*"
            if found is not None:
                raise aws_error(
                    "PreconditionFailed", "At least one precondition failed", status=412
                )
        if match is not None:
            if found is None:
                raise aws_error("NoSuchKey", "The specified key does not exist.", status=404)
            if found.etag != match:
                raise aws_error(
                    "PreconditionFailed", "At least one precondition failed", status=412
                )

    def get_object(
        self, Bucket: str, Key: str, VersionId: str = "", IfMatch: str = ""
    ) -> dict[str, Any]:
        found = self._find(Bucket, Key, VersionId, "NoSuchKey")
        if IfMatch and found.etag != IfMatch:
            raise aws_error("PreconditionFailed", "At least one precondition failed", status=412)
        return self._described(Bucket, found) | {"Body": io.BytesIO(found.body)}

    def head_object(self, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        return self._described(Bucket, self._find(Bucket, Key, VersionId, "404"))

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._bucket(Bucket).remove(Key)
        return {}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        assert len(Delete["Objects"]) <= 1000
        for item in Delete["Objects"]:
            self._bucket(Bucket).remove(item["Key"])
        return {"Deleted": [{"Key": item["Key"]} for item in Delete["Objects"]]}

    def list_objects_v2(
        self,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        ContinuationToken: str = "",
        MaxKeys: int = 1000,
        Delimiter: str = "",
    ) -> dict[str, Any]:
        if Delimiter:
            return self._folders(Bucket, Prefix, Delimiter, ContinuationToken)
        keys = self._bucket(Bucket).below(Prefix)
        first = bisect_right(keys, ContinuationToken or StartAfter)
        size = min(MaxKeys, self._world.laws.page)
        page = keys[first : first + size]
        more = first + size < len(keys)
        objects = self.buckets[Bucket].objects
        answer: dict[str, Any] = {"KeyCount": len(page), "IsTruncated": more, "Name": Bucket}
        if page:
            answer["Contents"] = [
                {
                    "Key": key,
                    "ETag": objects[key].etag,
                    "Size": len(objects[key].body),
                    "LastModified": objects[key].modified,
                }
                for key in page
            ]
        if more:
            answer["NextContinuationToken"] = page[-1]
        return answer

    def _folders(self, bucket: str, prefix: str, delimiter: str, after: str) -> dict[str, Any]:
        """The listing of a folder's folders: what is right below the prefix, up to the delimiter."""
        below = (key.removeprefix(prefix) for key in self._bucket(bucket).below(prefix))
        heads = sorted({name.partition(delimiter)[0] for name in below if delimiter in name})
        found = [f"{prefix}{head}{delimiter}" for head in heads]
        found = [name for name in found if name > after]
        page = found[: self._world.laws.page]
        answer: dict[str, Any] = {"KeyCount": len(page), "Name": bucket}
        if page:
            answer["CommonPrefixes"] = [{"Prefix": name} for name in page]
        if len(page) < len(found):
            answer["NextContinuationToken"] = page[-1]
        return answer

    # --- within ----------------------------------------------------------------------------------

    def _bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise aws_error("NoSuchBucket", "The specified bucket does not exist", status=404)
        return self.buckets[name]

    def _find(self, bucket: str, key: str, version: str, missing: str) -> Object:
        there = self._bucket(bucket)
        found = there.versions.get((key, version)) if version else there.objects.get(key)
        if found is None:
            raise aws_error(missing, "The specified key does not exist.", status=404)
        return found

    def _described(self, bucket: str, found: Object) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "ETag": found.etag,
            "ContentLength": len(found.body),
            "LastModified": found.modified,
        }
        if self.buckets[bucket].versioned:
            answer["VersionId"] = found.version
        return answer


def not_found(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in ("NoSuchKey", "404")
