"""The invariants of the design, each a function from a history that is over to what breaks it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chalicelib.contract import DEAD, DONE, SKIPPED, LedgerEntry
from chalicelib.contract.groups import job_id
from chalicelib.core.run import COMPLETE, STOPPED, Phase
from tests.sim import foreign
from tests.sim.leftovers import leftovers
from tests.sim.spending import unexported, wasteful
from tests.sim.timeline import MINUTE
from tests.sim.world import NEXT, STATE

if TYPE_CHECKING:
    from tests.sim.history import History, Sent

#: How long after its end, and the end of the last fault, anything of a run may be left.
CLEAN_WITHIN = 15 * MINUTE
#: Calls of one invocation, beside what its machines, jobs and runs take.
CALLS = 150
#: Seconds of one invocation, where nothing makes it stand still.
SECONDS = 60.0
#: The most fleets that a run may request, beside one for each machine that it loses.
REQUESTS = 40


def broken(history: History) -> list[str]:
    """Everything that is wrong with a history; none in a good one."""
    found = list(history.offences)
    for invariant in INVARIANTS:
        found += [f"{invariant.__name__}: {what}" for what in invariant(history)]
    return found


# --- L -------------------------------------------------------------------------------------------


def lost(history: History) -> Iterator[str]:
    """L: every accepted group is queued, running, done or dead."""
    ended = _ended(history)
    for sent in (*history.sent, *history.followed):
        claim = history.claim(sent)
        if claim is None:
            yield f"{sent.key} was never claimed"
            continue
        if claim["state"] not in ("closed", "refused"):
            yield f"{sent.key} is still {claim['state']}"
            continue
        run = next((r for r in history.records() if r.run_id == claim["run_id"]), None)
        if claim["state"] == "refused" or run is None or run.outcome == STOPPED:
            continue
        if run.worker == "dcp":
            yield from _lost_of_dcp(history, sent)
        elif len(ended[claim["name"]]) != sent.jobs:
            yield f"{sent.key}: {len(ended[claim['name']])} of {sent.jobs} jobs have an outcome"


def _lost_of_dcp(history: History, sent: Sent) -> Iterator[str]:
    """DCP's workers keep no ledger: done, or among the dead letters."""
    if any(
        act.what in ("purge", "delete queue", "delete dead letters")
        for act in history.scenario.acts
    ):
        return  # what somebody threw away is gone
    dead = history.world.sqs.queues.get(history.scenario.config["SQS_DEAD_LETTER_QUEUE"])
    bodies = [json.loads(m.body) for m in dead.messages.values()] if dead else []
    found = history.world.done_by_dcp | {body["cellfleet"]["job"] for body in bodies}
    missing = [job for job in _jobs(sent) if job not in found]
    if missing:
        yield f"{sent.key}: {len(missing)} of {sent.jobs} jobs are neither done nor dead letters"


def _jobs(sent: Sent) -> Iterator[str]:
    for well in range(sent.jobs):
        group = (("Metadata_Plate", "P1"), ("Metadata_Well", str(well)))
        folder = f"results/{sent.number}/P1-{well}"
        yield job_id("project/analysis.cppipe", "project/load_data.csv", group, folder)


def _ended(history: History) -> dict[str, set[str]]:
    ended: dict[str, set[str]] = defaultdict(set)
    for entry in _ledger(history):
        if entry.outcome in (DONE, SKIPPED, DEAD):
            ended[entry.submission].add(entry.job)
    return ended


def _ledger(history: History) -> Iterator[LedgerEntry]:
    for key in history.world.s3.buckets[STATE].below("runs/"):
        entry = LedgerEntry.parse(key)
        if entry is not None:
            yield entry


def unfollowed(history: History) -> Iterator[str]:
    """L of a chain: the next job file follows a run without failures, and no other."""
    for record in history.records():
        result = record.result
        if record.phase is not Phase.FINISHED or result is None or record.halted:
            continue
        naming = [name for name, submission in record.submissions.items() if submission.then]
        if not naming or record.outcome != COMPLETE or not result.exact:
            continue
        good = not any(result.dead_of.get(name) for name in naming)
        if good != (NEXT in record.went_on):
            yield f"{record.run_id}: {NEXT} {'never followed' if good else 'followed'}"


# --- D -------------------------------------------------------------------------------------------


def doubled(history: History) -> Iterator[str]:
    """D: one coherent published output set per (submission, job), however often it ran."""
    done = {(e.run, e.submission, e.job) for e in _ledger(history) if e.outcome == DONE}
    by_job = Counter((submission, job) for _, submission, job in done)
    for (submission, job), count in by_job.items():
        if count > 1:
            yield f"job {submission}.{job} was done in {count} runs"
    written: dict[str, set[str]] = defaultdict(set)
    for run, submission, job in done:
        commit = history.read(f"runs/{run}/commits/{submission}/{job}")
        if commit is None or commit["state"] != "published":
            yield f"job {submission}.{job} is done and not published"
            continue
        for file in commit["files"]:
            written[file["name"]].add(file["sha256"])  # two submissions may have one folder
    for name, attempts in written.items():
        body = history.world.s3.read(history.world.images, name)
        if body is None or body.decode() not in attempts:
            yield f"{name} isn't of an attempt that was published"


# --- M -------------------------------------------------------------------------------------------


def machines_left(history: History) -> Iterator[str]:
    """M: 15 minutes after a run's end, and the end of the last fault, nothing of it is left."""
    now = history.world.time.now
    if history.clean_at is None:
        left = leftovers(history)
        live = history.world.s3.buckets[STATE].below("live/")
        pending = history.world.s3.buckets[STATE].below("runs/pending/")
        yield f"after {now / 60:.0f} minutes there still are {[*left, *live, *pending]}"
        return
    end = _end_of_work(history)
    # Whatever the minute of a tick: it is looked at once a minute, unless a tick is left out.
    spared = MINUTE * (1 + sum(end <= at <= history.clean_at for at in history.left_out))
    late = history.clean_at - end - CLEAN_WITHIN - spared
    if late > 0:
        yield f"it took {(late + CLEAN_WITHIN) / 60:.0f} minutes until all was gone"


def _end_of_work(history: History) -> float:
    """When the last outcome was written, or the last thing done to the run from outside."""
    bucket = history.world.s3.buckets[STATE]
    times = [history.last_act, history.world.faults.last]
    times += [
        history.moment_to_seconds(bucket.objects[key].modified)
        for key in bucket.below("runs/")
        if "/ledger/" in key
    ]
    times += [end for begin, end in history.scenario.ticks.off if begin < (history.clean_at or 0)]
    if (
        history.scenario.config["AUTO_MONITOR"] != "True"
        or history.scenario.keys.get("WORKER") == "dcp"
    ):
        times.append(history.world.sqs.settled)
    return max(times)


# --- I -------------------------------------------------------------------------------------------


def foreign_touched(history: History) -> Iterator[str]:
    """I: nothing that is not this run's own is touched."""
    for name in foreign.touched(history.portrait, history.world):
        yield f"{name} was touched"


# --- B -------------------------------------------------------------------------------------------


def boundless(history: History) -> Iterator[str]:
    """B: memory, time, API calls and money are bounded."""
    allowed = history.scenario.config["CLUSTER_MACHINES"]
    for run, most in history.world.most_machines.items():
        if most > allowed:
            yield f"{run} had {most} machines, {allowed} are allowed"
    for done in history.invocations:
        pages = 1 if history.world.laws.page >= 1000 else 10
        if done.calls > (CALLS + 10 * done.machines + 30 * len(history.sent)) * pages:
            yield f"a {done.entry} at {done.at:.0f} s took {done.calls} calls"
        if done.seconds > SECONDS and not history.world.faults.fired:
            yield f"a {done.entry} at {done.at:.0f} s took {done.seconds:.0f} s"
    for record in history.records():
        if len(record.fleets) > REQUESTS + history.world.lost_machines[record.run_id]:
            yield f"{record.run_id} requested {len(record.fleets)} fleets"
        if len(record.to_json()) > 300_000:
            yield f"{record.run_id}: its record has {len(record.to_json())} bytes"


# --- R -------------------------------------------------------------------------------------------


def silent(history: History) -> Iterator[str]:
    """R: every failure is visible with its cause."""
    bucket = history.world.s3.buckets[STATE]
    app = history.scenario.app
    for sent in history.sent:
        claim = history.claim(sent)
        if claim and claim["state"] == "refused":
            name = sent.key.removeprefix(f"jobs/{app}/").removeprefix(f"submitted/{app}/")
            if f"refused/{app}/{name}" not in bucket.objects:
                yield f"{sent.key} was refused, and nothing says why"
    for entry in _ledger(history):
        if entry.outcome == DEAD:
            told = history.read(entry.key())
            if not entry.cause or not told or not told.get("sentence"):
                yield f"job {entry.job} is dead, and nothing says why"
    for record in history.records():
        if record.phase is Phase.FINISHED and not record.outcome:
            yield f"{record.run_id} is finished, and nothing says how"


# --- and the rule that scale-in lives by ---------------------------------------------------------


def disturbed(history: History) -> Iterator[str]:
    """While a run is open, the control plane stops no worker at work."""
    yield from history.world.disturbed


INVARIANTS = (
    lost,
    unfollowed,
    doubled,
    machines_left,
    foreign_touched,
    boundless,
    wasteful,
    silent,
    unexported,
    disturbed,
)
