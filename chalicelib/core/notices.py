"""What people are told without asking: that a run has ended, was cut down, or can't work.

For those who started the run and went home: what happened, what is left, what to do next.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from chalicelib.core.actions.record import Notify
from chalicelib.core.causes import explain_causes
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.next_step import outlook
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import STOPPED, Phase, Result, RunRecord

ENDED, EARLY_STOP, STUCK = "ended", "early-stop", "stuck"

#: SNS refuses a subject of 100 characters and more, and a message of more than 256 KB.
_SUBJECT, _BODY = 99, 200_000
_FEW = 20


def decide_notices(record: RunRecord, config: RunConfig, _seen: Observation) -> Plan:
    """The notices that are due and weren't sent yet; none without a topic."""
    if not record.topic:
        return ()
    due: list[Notify] = []
    if record.phase is Phase.OPEN and record.limit_reason:
        due.append(_early_stop(record, config))
    if record.phase is Phase.OPEN and record.stuck:
        due.append(_stuck(record, config))
    if record.phase is Phase.TEARING_DOWN and record.result is not None:
        due.append(_ended(record, config, record.result))
    return tuple(notice for notice in due if notice.kind not in record.notified)


def notice(kind: str, subject: str, *paragraphs: str) -> Notify:
    """A notice in the form that SNS takes: the subject on one line of ASCII, below 100
    characters; the body's paragraphs apart by an empty line, empty ones left out."""
    plain = re.sub(r"[^ -~]+", "?", " ".join(subject.split()))
    body = "\n\n".join(text for text in paragraphs if text)
    shortened = plain if len(plain) <= _SUBJECT else f"{plain[: _SUBJECT - 3]}..."
    return Notify(kind=kind, subject=shortened, body=body[:_BODY])


def _ended(record: RunRecord, config: RunConfig, result: Result) -> Notify:
    jobs, stopped = record.jobs, record.outcome == STOPPED
    known = record.worker != "dcp"
    if stopped:
        subject = f"{record.app}: stopped, {result.done:,} of {jobs:,} jobs done"
    elif not known:
        subject = f"{record.app}: the queue is empty, {jobs:,} jobs were sent"
    elif result.dead:
        subject = f"{record.app}: {result.dead:,} of {jobs:,} jobs failed"
    else:
        subject = f"{record.app}: all {jobs:,} jobs done"
    return notice(
        ENDED,
        subject,
        _what_happened(record, result, known=known),
        _why_failed(record, result),
        _where(record, config),
        _what_now(record, config, result),
        "\n".join(f"Next: {sentence}." for sentence in outlook(record, config)),
        "Its machines, queue and service are being removed; that needs nobody. "
        f"s3://{record.deployment}/runs/{record.run_id}/status.json tells if something can't be.",
    )


def _what_happened(record: RunRecord, result: Result, *, known: bool) -> str:
    ended = "was stopped" if record.outcome == STOPPED else "has ended"
    counts = (
        f"{result.done:,} of {record.jobs:,} jobs are done, {result.dead:,} failed."
        if known
        else f"{record.jobs:,} jobs were sent. This worker image doesn't say how each ended; "
        "failed ones are in the dead-letter queue."
    )
    return (
        f"The run {record.run_id} {ended}. {counts}\n"
        f"It began {_moment(record.created_at)} and ended {_moment(result.at)} "
        f"({_length(result.at - record.created_at)})."
    )


def _why_failed(record: RunRecord, result: Result) -> str:
    if not result.causes:
        return ""
    lines = "\n".join(f"  {line}" for line in explain_causes(result.causes))
    return (
        f"Why jobs failed:\n{lines}\n"
        f"Each failure is told below s3://{record.deployment}/runs/{record.run_id}/ledger/ "
        "(look for .dead. in the names)."
    )


def _where(record: RunRecord, config: RunConfig) -> str:
    outputs = sorted({s.output for s in record.submissions.values() if s.output})
    places = [f"s3://{config.destination_bucket}/{output}" for output in outputs[:_FEW]]
    if len(outputs) > _FEW:
        places.append(f"and {len(outputs) - _FEW} more")
    lines = [f"Results: {', '.join(places) or f's3://{config.destination_bucket}'}"]
    names = Names.of(config)
    lines.append(f"Logs: CloudWatch, log group {names.log_group}, in {names.region}")
    if record.result is not None and (record.result.dead or record.worker == "dcp"):
        lines.append(f"Failed jobs: queue {names.dead_letter_queue}, for 14 days")
    return "\n".join(lines)


def _what_now(record: RunRecord, config: RunConfig, result: Result) -> str:
    if record.outcome == STOPPED:
        what = "To go on, send the job file again."
    elif result.dead:
        what = "Once the cause is mended, send the job file again."
    else:
        return ""
    if config.check_if_done_bool:
        return f"{what} CHECK_IF_DONE_BOOL is on, so that jobs with results are skipped."
    return f"{what} With CHECK_IF_DONE_BOOL 'True', jobs that have their results are skipped."


def _early_stop(record: RunRecord, config: RunConfig) -> Notify:
    machines = record.machine_limit if record.machine_limit is not None else 1
    return notice(
        EARLY_STOP,
        f"{record.app}: most machines given up, its jobs fail alike",
        f"The run {record.run_id} goes on with at most {machines} machine"
        f"{'' if machines == 1 else 's'}.\n{_sentence(record.limit_reason)}",
        f"Each failure is told below s3://{record.deployment}/runs/{record.run_id}/ledger/.\n"
        f"Logs: CloudWatch, log group {config.log_group_name}, in {config.aws_region}",
        "If it is a mistake in the pipeline or the job file, end the run (python run.py stop), "
        "mend it and send it again. If the jobs are worth going on with, python run.py "
        "startCluster brings the machines back.",
    )


def _stuck(record: RunRecord, config: RunConfig) -> Notify:
    return notice(
        STUCK,
        f"{record.app}: its machines can't work, and were given up",
        f"The run {record.run_id} has no machines any more. {_sentence(record.stuck)}",
        "Its jobs wait in the queue "
        f"{config.sqs_queue_name}. Once the cause is mended, python run.py startCluster requests "
        "machines again; python run.py stop ends the run.",
    )


def _sentence(reason: str) -> str:
    """A reason as it stands in the record, with a capital and a full stop."""
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _length(time: timedelta) -> str:
    """A time in hours and minutes."""
    hours, minutes = divmod(round(time.total_seconds() / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
