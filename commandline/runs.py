"""`runs`, `status`, `failures`, `scale` and `redrive`: looking at runs, and a word to them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chalicelib.core.api.names import is_name
from chalicelib.errors import InputError, NotFoundError, Problem
from commandline.shared import app_of_config, reach_by, the_app

if TYPE_CHECKING:
    from chalicelib.core.api.answers import RunAnswer
    from commandline.direct import Direct
    from commandline.remote import Remote

#: Runs, or failures, that one request brings.
_PAGE = 100


def runs(options: argparse.Namespace) -> int:
    there, _ = _reach(options)
    after: str | None = None
    while True:
        page = there.runs(app=options.app, live=options.live, limit=_PAGE, after=after)
        for run in page.runs:
            told = run.problem or f"{run.jobs} jobs {run.outcome}"
            print(f"{run.run}  {run.phase:<12} {told.rstrip()}")
        after = page.next
        if after is None:
            return 0


def status(options: argparse.Namespace) -> int:
    there, run_id = _run(options)
    run = there.show(run_id)
    if options.json:
        print(run.model_dump_json(indent=1))
    else:
        print("\n".join(_lines(run)))
    return 0


def failures(options: argparse.Namespace) -> int:
    there, run_id = _run(options)
    outcome = "dead" if options.dead else None
    after: str | None = None
    while True:
        page = there.failures(run_id, outcome=outcome, limit=_PAGE, after=after)
        for one in page.failures:
            if options.json:
                print(one.model_dump_json())
                continue
            group = ",".join(f"{key}={value}" for key, value in one.group.items())
            print(f"{one.at:%Y-%m-%d %H:%M}  {one.job}  {one.outcome:<6} {one.cause:<11} {group}")
            print(f"    {one.sentence}")
        after = page.next
        if after is None:
            return 0


def scale(options: argparse.Namespace) -> int:
    there, configured = _reach(options)
    machines = None if options.machines == "all" else _number(options.machines)
    run = there.scale(the_app(options.app, configured), machines)
    bound = run.machines.at_most
    print(f"Run {run.run} may have at most {bound} machines from the next tick on.")
    return 0


def redrive(options: argparse.Namespace) -> int:
    there, run_id = _run(options)
    sent = there.redrive(run_id, jobs=options.job, causes=options.cause)
    for one in sent.submissions:
        print(f"Job file {one.submission}: {one.state}, {one.jobs} jobs, run {one.run or '-'}")
        for message in one.messages:
            print(f"note: {message}", file=sys.stderr)
    print(f"{sent.jobs} dead jobs of {run_id} sent again.")
    return 0


def _reach(options: argparse.Namespace) -> tuple[Direct | Remote, str]:
    """The account, or the API where one is named; and the app of the configuration, if any."""
    if options.api:
        from commandline.remote import Remote

        return Remote(options.api), app_of_config(options)
    from commandline.direct import Direct

    services, configured = reach_by(options)
    return Direct(services), configured


def _run(options: argparse.Namespace) -> tuple[Direct | Remote, str]:
    """The run that is named: by its id, or by an app, whose latest it is."""
    there, configured = _reach(options)
    if is_name("run", options.run):
        return there, options.run
    app = the_app(options.run, configured)
    run_id = there.latest(app)
    if not run_id:
        raise NotFoundError(f"the app {app} never had a run")
    return there, run_id


def _number(text: str) -> int:
    if not text.isdecimal():
        problem = Problem(where="MACHINES", found=repr(text), expected="must be a number, or all")
        raise InputError("command line", [problem])
    return int(text)


def _lines(run: RunAnswer) -> Iterator[str]:
    """A run for people."""
    jobs, pace, dollars = run.jobs, run.pace, run.dollars
    yield f"{run.run} is {run.phase} {run.outcome}".rstrip()
    if run.seen_at is not None:
        yield f"  seen      {run.seen_at:%Y-%m-%d %H:%M:%S} UTC"
    counts = f"{jobs.done} done, {jobs.dead} dead"
    if jobs.waiting is not None:
        counts += f", {jobs.in_flight or 0} in process, {jobs.waiting} waiting"
    yield f"  jobs      {jobs.total}: {counts}"
    reason = f" ({run.machines.reason})" if run.machines.reason else ""
    yield f"  machines  {run.machines.there}, at most {run.machines.at_most}{reason}"
    if pace.expected_end is not None:
        yield f"  end       about {pace.expected_end:%Y-%m-%d %H:%M} UTC"
    if dollars.so_far_at_most is not None:
        cents = 2 if dollars.so_far_at_most >= 1 else 3
        yield f"  cost      at most ${dollars.so_far_at_most:.{cents}f} so far"
    for cause in run.causes:
        yield f"  cause     {cause.jobs} x {cause.cause}: {cause.means}. What helps: {cause.helps}."
    for word, lines in (
        ("health", run.health),
        ("error", run.errors),
        ("note", run.notes),
        ("next", run.next_steps),
    ):
        yield from (f"  {word:<9} {line}" for line in lines)
