"""What the awslogs driver does: a container's output becomes events of a log stream."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: CloudWatch takes 256 KiB an event.
_LONGEST = 256 * 1024 - 26
_AT_ONCE = 1024 * 1024


class LogShipper:
    """Remembers how far each file has been sent."""

    def __init__(self) -> None:
        self._sent: dict[Path, int] = {}

    def ship(self, backend: Any, group: str, stream: str, path: Path, *, last: bool) -> None:
        """Send the lines that are new in `path`; `last`: also one without an end, and forget it.

        `backend` is moto's for Logs. Without the group nothing is sent, and the file remains.
        """
        log_group = backend.groups.get(group)
        if log_group is not None:
            if stream not in log_group.streams:
                log_group.create_log_stream(stream)
            for lines in self._new_lines(path, last):
                stamp = int(time.time() * 1000)
                events = [{"timestamp": stamp, "message": line[:_LONGEST]} for line in lines]
                log_group.put_log_events(stream, events)
        if last:
            self._sent.pop(path, None)

    def _new_lines(self, path: Path, last: bool) -> Iterator[list[str]]:
        with path.open("rb") as file:
            while True:
                file.seek(self._sent.get(path, 0))
                data = file.read(_AT_ONCE)
                end = data.rfind(b"\n") + 1
                if not end and (last or len(data) == _AT_ONCE):
                    end = len(data)
                if not end:
                    return
                self._sent[path] = self._sent.get(path, 0) + end
                lines = data[:end].decode("utf-8", "replace").splitlines()
                yield [line for line in lines if line]


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a log, for a message; "" if there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-count:])
