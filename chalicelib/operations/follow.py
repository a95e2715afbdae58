"""A run followed to its end by whoever waits for it: ticked, and told of line by line.

The ticks are those of the deployed monitor. Where that one is at work too, the two take turns by
the run's lease, and what the other saw is read from the run's status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.next_step import handed_on
from chalicelib.core.run import Phase, RunRecord
from chalicelib.operations.log_export import export_all
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import Status, tick_run


@dataclass(frozen=True)
class Line:
    """Something to show; `error` if it went wrong."""

    text: str
    error: bool = False


@dataclass
class Told:
    """What was shown already: each thing is told once, progress whenever it changes."""

    progress: str = ""
    machines: int = 0
    phase: Phase = Phase.OPEN
    seen: set[str] = field(default_factory=set)

    def news(self, status: Status, record: RunRecord) -> Iterator[Line]:
        """What this look adds."""
        yield from self._once([Line(f"note: {note}") for note in record.notes])
        yield from self._once([Line(f"health: {trouble}", error=True) for trouble in status.health])
        yield from self._once([Line(f"error: {error}", error=True) for error in status.errors])
        if status.machines != self.machines:
            word = "up" if status.machines > self.machines else "down"
            yield Line(f"Scaled {word}: {self.machines} -> {status.machines} machines")
            self.machines = status.machines
        progress = (
            f"In process: {status.in_flight or 0} Pending {status.waiting or 0} "
            f"Done {status.done} Dead {status.dead} of {status.jobs} Machines {status.machines}"
        )
        if progress != self.progress:
            yield Line(progress)
            self.progress = progress
        if record.phase is not self.phase and record.phase is not Phase.FINISHED:
            yield Line(f"Run {record.run_id} is {record.phase}")
        self.phase = record.phase

    def _once(self, lines: list[Line]) -> Iterator[Line]:
        for line in lines:
            if line.text not in self.seen:
                self.seen.add(line.text)
                yield line


def follow(
    services: Services, run_id: str, *, rest: Callable[[], None], logs: bool = True
) -> Iterator[Line]:
    """Tick a run until nothing of it is left, and (`logs`) until its logs are exported.

    `rest` is called between two looks. Submissions of the app that wait are gone on with.
    """
    told = Told()
    while True:
        status = tick_run(services, run_id) or last_status(services, run_id)
        record = services.runs.load(run_id)
        if status is not None:
            yield from told.news(status, record)
        if record.phase is Phase.FINISHED:
            break
        for outcome in resume_all(services, record.app):
            yield Line(
                " ".join([f"Job file {outcome.submission}: {outcome.state}", *outcome.messages])
            )
        rest()
    yield Line(f"Run {run_id} is {record.outcome}; nothing of it is left running.")
    if logs:
        yield from _exports(services, run_id, rest)


def follow_on(
    services: Services, run_id: str, *, rest: Callable[[], None]
) -> Iterator[Line | RunRecord]:
    """Wait until what follows a finished run has begun, or was refused.

    Gives lines to show, and the record of each run that has begun.
    """
    for upload in handed_on(services.runs.load(run_id)):
        yield Line(f"Next: {upload.key} (app {upload.app})")
        while True:
            for outcome in resume_all(services, upload.app):
                yield from (Line(message) for message in outcome.messages)
            mark = services.store.read(keys.pending(upload.app, upload.submission))
            if mark is None:  # submitted, refused, or taken away by hand
                break
            rest()
        stored = services.store.read(keys.claim(upload.app, upload.submission))
        claim = Claim.model_validate_json(stored.body) if stored else None
        if claim is not None and claim.state == "closed":
            yield services.runs.load(claim.run_id)


def last_status(services: Services, run_id: str) -> Status | None:
    """What the last tick wrote, whoever made it; None if there is nothing that can be read."""
    stored = services.store.read(keys.run_status(run_id))
    try:
        return Status.model_validate_json(stored.body) if stored else None
    except ValueError:
        return None


def _exports(services: Services, run_id: str, rest: Callable[[], None]) -> Iterator[Line]:
    """The export of the logs, as long as it gets on; one that is refused is left to the ticks."""
    told: set[str] = set()
    while True:
        records = list(export_all(services, run_id))
        record = records[0] if records else services.runs.load(run_id)
        for export in record.exports.values():
            line = f"Logs of {export.group}: {export.told or 'waiting'}"
            if line not in told:
                told.add(line)
                yield Line(line, error=export.refused_at is not None and not export.over)
        waits = any(not e.over and e.refused_at is None for e in record.exports.values())
        if not records or not waits:
            return
        rest()
