"""What moto's SQS lacks for our use: speed with deep queues, and safety with many callers.

Speed: every send of a message computes all attributes of the queue, which scans it three
times, and every look at a message builds a datetime.

Safety: moto changes a queue without a lock. A delete rebuilds the list of messages, so a
message sent meanwhile is lost; two receives at once get the same message.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from moto.sqs import models
from moto.sqs.models import Queue, SQSBackend

from local.patching import Patches

#: Nothing wakes a long poll when a message becomes visible again, so it looks this often, in seconds.
_LOOK_AGAIN_SECONDS = 0.5


def install(patches: Patches) -> None:
    """Replace the slow and the unsafe."""
    sending = threading.local()
    patches.replace(models, "unix_time_millis", lambda _: _unix_time_millis)
    patches.replace(Queue, "attributes", lambda original: _short_attributes(original, sending))
    patches.replace(SQSBackend, "send_message", lambda original: _send(original, sending))
    patches.replace(SQSBackend, "receive_message", _receive)
    patches.replace(SQSBackend, "delete_message", _under_lock)
    patches.replace(SQSBackend, "change_message_visibility", _under_lock)


def _unix_time_millis(_: Any = None) -> float:
    return time.time() * 1000


def _short_attributes(original: property, sending: threading.local) -> property:
    def attributes(queue: Queue) -> Any:
        if getattr(sending, "now", False):
            # The only one that sending asks for.
            text = str(getattr(queue, "content_based_deduplication", False)).lower()
            return {"ContentBasedDeduplication": text}
        return original.__get__(queue)

    return property(attributes)


def _send(original: Callable[..., Any], sending: threading.local) -> Callable[..., Any]:
    def send_message(backend: SQSBackend, *args: Any, **kwargs: Any) -> Any:
        sending.now = True
        try:
            return original(backend, *args, **kwargs)
        finally:
            sending.now = False

    return send_message


def _under_lock(original: Callable[..., Any]) -> Callable[..., Any]:
    def locked(backend: SQSBackend, queue_name: str, *args: Any, **kwargs: Any) -> Any:
        with backend.get_queue(queue_name)._messages_lock:
            return original(backend, queue_name, *args, **kwargs)

    return locked


def _receive(original: Callable[..., Any]) -> Callable[..., Any]:
    def receive_message(
        backend: SQSBackend, queue_name: str, count: int, wait: int, *args: Any, **kwargs: Any
    ) -> Any:
        lock = backend.get_queue(queue_name)._messages_lock
        until = time.monotonic() + int(wait or 0)
        while True:
            with lock:
                found = original(backend, queue_name, count, 0, *args, **kwargs)
                left = until - time.monotonic()
                if found or left <= 0:
                    return found
                lock.wait(min(left, _LOOK_AGAIN_SECONDS))

    return receive_message
