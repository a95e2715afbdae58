"""What moto's S3 lacks for our use: atomic conditional writes, and events as S3 sends them."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.s3 import notifications
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

from local.patching import Patches

#: Takes a Lambda function's ARN and an event.
Deliver = Callable[[str, dict[str, Any]], None]


def install(patches: Patches, deliver: Deliver) -> None:
    """Make writes atomic, and hand events meant for Lambda functions to `deliver`.

    `deliver` is called while the write is still under way, so it must only take note.
    """
    writing = threading.RLock()

    def locked(original: Callable[..., Any]) -> Callable[..., Any]:
        def under_lock(*args: Any, **kwargs: Any) -> Any:
            with writing:
                return original(*args, **kwargs)

        return under_lock

    # moto looks whether If-Match or If-None-Match holds, then writes; two threads can both pass.
    patches.replace(S3Response, "put_object", locked)
    patches.replace(S3Backend, "delete_object", locked)
    patches.replace(S3Backend, "put_object", _one_event)

    sequence = itertools.count(time.time_ns())
    patches.replace(notifications, "_get_s3_event", lambda _: _event_maker(sequence))

    def invoke(_account: str, event: dict[str, Any], arn: str, _region: str) -> None:
        deliver(arn, event)

    patches.replace(notifications, "_invoke_awslambda", lambda _: invoke)


def _one_event(original: Callable[..., Any]) -> Callable[..., Any]:
    """Joining the parts of an upload is one event, not also that of an ordinary put."""

    def put_object(backend: S3Backend, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("multipart") is not None:
            kwargs["disable_notification"] = True
        return original(backend, *args, **kwargs)

    return put_object


def event_key(key: str) -> str:
    """A key as it stands in an event: form-encoded, but for the slashes."""
    return quote_plus(key, safe="/")


def _event_maker(sequence: "itertools.count[int]") -> Callable[..., dict[str, Any]]:
    def make(name: str, bucket: Any, key: Any, notification_id: str) -> dict[str, Any]:
        what: dict[str, Any] = {
            "key": event_key(key.name),
            "size": key.size,
            "eTag": key.etag.replace('"', ""),
        }
        if bucket.is_versioned:
            what["versionId"] = key.version_id
        what["sequencer"] = f"{next(sequence):016X}"
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": bucket.region_name,
            "eventTime": now.replace("+00:00", "Z"),
            "eventName": name.removeprefix("s3:"),
            "userIdentity": {"principalId": "AWS:LOCAL"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper()},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": notification_id,
                "bucket": {
                    "name": bucket.name,
                    "ownerIdentity": {"principalId": "LOCAL"},
                    "arn": bucket.arn,
                },
                "object": what,
            },
        }
        return {"Records": [record]}

    return make
