"""An SQS that costs the same for every request, in a process of its own: for benchmarks.

    python -m benchmarks.sqs_stub [--port P] [--latency SECONDS] [--digest-of MEMBER]

It speaks as much of the AWS JSON protocol as boto3 needs to make queues and send messages.
Every request is answered after the same latency (10 ms), none waits for another, and little
processor time is used: it shares the machine with what is measured. Bodies aren't kept;
`GET /dump` tells what came, a queue at a time:

    {"Queue": {"messages": 20000, "requests": 2000, "digest": "…"}}

The digest doesn't depend on the order of the messages: equal digests and counts mean the same
multiset of bodies, or with `--digest-of Metadata`, of that member of the bodies, which are JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import md5
from itertools import count
from typing import Any

LATENCY = 0.010
ACCOUNT = "000000000000"

_TARGET = re.compile(rb"\r\nX-Amz-Target: *AmazonSQS\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_numbers = count()


@dataclass
class Queue:
    """What was sent to one queue."""

    attributes: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    messages: int = 0
    requests: int = 0
    digest: int = 0

    def take(self, body: str, member: str | None) -> dict[str, str]:
        """Count a message; the answer that SQS gives for it."""
        told = md5(body.encode(), usedforsecurity=False)
        kept = told
        if member is not None:
            kept = md5(json.dumps(json.loads(body)[member]).encode(), usedforsecurity=False)
        self.messages += 1
        self.digest = (self.digest + int.from_bytes(kept.digest(), "big")) % 2**128
        return {"MessageId": f"{next(_numbers):032x}", "MD5OfMessageBody": told.hexdigest()}


class StubError(Exception):
    """A request that SQS would refuse, with its code."""


class Stub:
    """All queues, and the actions of the API that senders use."""

    def __init__(self, address: str, member: str | None = None):
        self.address = address
        self.member = member
        self.queues: dict[str, Queue] = {}

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one action; raises StubError."""
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "SendMessageBatch": self._send_batch,
            "SendMessage": self._send,
            "CreateQueue": self._create,
            "GetQueueUrl": self._url,
            "GetQueueAttributes": self._get_attributes,
            "SetQueueAttributes": self._set_attributes,
            "TagQueue": self._tag,
            "ListQueueTags": lambda request: {"Tags": self._queue(request).tags},
        }
        if action not in known:
            raise StubError("UnsupportedOperation")
        return known[action](request)

    def dump(self) -> dict[str, Any]:
        """What came to each queue."""
        return {
            name: {
                "messages": queue.messages,
                "requests": queue.requests,
                "digest": f"{queue.digest:032x}",
            }
            for name, queue in self.queues.items()
        }

    def _queue(self, request: dict[str, Any]) -> Queue:
        name = request.get("QueueName") or request["QueueUrl"].rpartition("/")[2]
        if name not in self.queues:
            raise StubError("QueueDoesNotExist")
        return self.queues[name]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        queue = self.queues.setdefault(request["QueueName"], Queue())
        queue.attributes.update(request.get("Attributes", {}))
        queue.tags.update(request.get("tags", {}))
        return self._url(request)

    def _url(self, request: dict[str, Any]) -> dict[str, Any]:
        self._queue(request)
        return {"QueueUrl": f"{self.address}/{ACCOUNT}/{request['QueueName']}"}

    def _get_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        queue = self._queue(request)
        name = request["QueueUrl"].rpartition("/")[2]
        return {
            "Attributes": {
                **queue.attributes,
                "QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
                "ApproximateNumberOfMessages": str(queue.messages),
                "ApproximateNumberOfMessagesNotVisible": "0",
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def _set_attributes(self, request: dict[str, Any]) -> dict[str, Any]:
        self._queue(request).attributes.update(request["Attributes"])
        return {}

    def _tag(self, request: dict[str, Any]) -> dict[str, Any]:
        self._queue(request).tags.update(request["Tags"])
        return {}

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        queue = self._queue(request)
        queue.requests += 1
        return queue.take(request["MessageBody"], self.member)

    def _send_batch(self, request: dict[str, Any]) -> dict[str, Any]:
        queue = self._queue(request)
        queue.requests += 1
        taken = [
            {"Id": entry["Id"], **queue.take(entry["MessageBody"], self.member)}
            for entry in request["Entries"]
        ]
        return {"Successful": taken, "Failed": []}


class Connection(asyncio.Protocol):
    """One keep-alive connection; HTTP as far as botocore uses it."""

    def __init__(self, stub: Stub, latency: float):
        self._stub = stub
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < total:
                return
            body, self._received = self._received[end + 4 : total], self._received[total:]
            self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /dump"):
            self._transport.write(_response(200, self._stub.dump()))
            return
        action = _TARGET.search(head)
        try:
            if action is None:
                raise StubError("MissingAction")
            response = _response(200, self._stub.answer(action[1].decode(), json.loads(body)))
        except StubError as error:
            response = _response(
                400, {"__type": f"com.amazonaws.sqs#{error}", "message": str(error)}
            )
        asyncio.get_running_loop().call_later(self._latency, self._transport.write, response)


def _response(status: int, content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\n"
        f"x-amzn-RequestId: {next(_numbers)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def serve(port: int, latency: float, member: str | None) -> None:
    """Serve until cancelled; prints the address once it can be reached."""
    stub = Stub(address="", member=member)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        partial(Connection, stub, latency), "127.0.0.1", port, backlog=1024
    )
    stub.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(stub.address, flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="An SQS with a constant cost, for benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds per request")
    parser.add_argument("--digest-of", metavar="MEMBER", help="of the bodies, instead of them")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.latency, arguments.digest_of))


if __name__ == "__main__":
    main()
