"""Chains: the job file that follows when a run has ended well.

Each submission of a run may name one. It follows if the run ended by itself, and no submission
that names it had more failed jobs than it tolerates; and it follows once, whoever names it.
What follows is handed on while the run is torn down, before the run is finished, under an id made
of the run and the file: however often that is repeated, it is one submission.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.core.actions.record import StartNextStep
from chalicelib.core.config import RunConfig
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import COMPLETE, Phase, RunRecord, Submission
from chalicelib.core.upload import Upload

#: Steps of a chain, the first included.
LONGEST = 20


def decide_next_step(record: RunRecord, _config: RunConfig, _seen: Observation) -> Plan:
    """The next job files that are due and weren't handed on yet."""
    if record.phase is not Phase.TEARING_DOWN:
        return ()
    return tuple(
        StartNextStep(upload=_upload(record, link))
        for link in _links(record)
        if link.key not in record.went_on and not _why_not(record, link)
    )


def handed_on(record: RunRecord) -> tuple[Upload, ...]:
    """The next steps that were handed on."""
    return tuple(_upload(record, link) for link in _links(record) if link.key in record.went_on)


def outlook(record: RunRecord, config: RunConfig) -> tuple[str, ...]:
    """What follows this run, or why something doesn't, in a sentence for each."""
    return tuple(_sentence(record, config, link) for link in _links(record))


@dataclass(frozen=True, kw_only=True)
class _Link:
    """A next job file, with the submissions that name it, by their ids."""

    key: str
    after: dict[str, Submission]

    @property
    def app(self) -> str:
        """As the submission that was accepted last has it."""
        return next(s.then.app for s in reversed(self.after.values()) if s.then)


def _links(record: RunRecord) -> Iterator[_Link]:
    keys = dict.fromkeys(s.then.key for s in record.submissions.values() if s.then)
    for key in keys:
        naming = {n: s for n, s in record.submissions.items() if s.then and s.then.key == key}
        yield _Link(key=key, after=naming)


def _upload(record: RunRecord, link: _Link) -> Upload:
    then = [s.then for s in link.after.values() if s.then]
    return Upload(
        app=link.app,
        name=link.key.removesuffix(".json"),
        bucket=record.deployment,
        key=link.key,
        # Not the file's version: the same submission, whenever it is begun.
        sequencer=f"after {record.run_id}",
        follows=record.run_id,
        step=1 + max(s.step for s in link.after.values()),
        accepted=then[-1].etag,
    )


def _why_not(record: RunRecord, link: _Link) -> str:
    """Why a job file doesn't follow a run whose jobs have ended; "" if it does."""
    if record.halted or record.outcome != COMPLETE:
        return "the run was stopped"
    if record.result is None or not record.result.exact:
        return "it isn't known how many jobs failed"
    for name, submission in link.after.items():
        dead = record.result.dead_of.get(name, 0)
        tolerated = submission.then.tolerated if submission.then else 0
        if dead > tolerated:
            return (
                f"{dead:,} of {submission.jobs:,} jobs of {submission.source} failed, and at most "
                f"{tolerated:,} were to. Once that is mended, upload it below jobs/{link.app}/"
            )
    return ""


def _sentence(record: RunRecord, config: RunConfig, link: _Link) -> str:
    what = f"{link.key} (app {link.app})"
    open_still = record.phase in (Phase.OPEN, Phase.ENDING) and record.outcome in ("", COMPLETE)
    if open_still and not record.halted:
        most = min(s.then.tolerated for s in link.after.values() if s.then)
        when = f"with at most {most:,} failed jobs" if most else "without a failed job"
        watched = config.auto_monitor or record.monitored
        until = "" if watched else "; AUTO_MONITOR is off, so that it ends once you monitor it"
        return f"{what} follows if this run ends {when}{until}"
    if reason := _why_not(record, link):
        return f"{what} doesn't follow: {reason}"
    return f"{what} follows"
