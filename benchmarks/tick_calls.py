"""Requests to AWS: of a tick while all goes well, of one that lets machines go, and of an end.

    python -m benchmarks.tick_calls [--runs 1 10 100] [--machines 1 100 1000 5000]

The real monitor on the simulator's AWS, whose answers come in AWS's pages; every page is one
request. The account is furnished by `benchmarks/calls/account.py`. Retries don't occur.

The budget: a healthy tick 8 a run + 1 per 1,000 machines + 1 per 1,000 entries of the ledger's
last minutes; while machines leave 2 more per 100 of them; an end 25 + 3 per 100 machines. A pass
over all runs adds what it asks once, however many they are.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections import Counter
from dataclasses import dataclass

from benchmarks.calls.account import Account, Calls
from chalicelib.operations.log_export import export_all
from chalicelib.operations.resume import resume_all
from chalicelib.operations.tick import tick_run
from chalicelib.operations.tick_all import tick_all

#: What a pass asks once: where to begin, live runs, exports that wait, submissions that wait.
PASS = 4
#: Orders are no looks; ECS takes ten machines in each of the first.
ORDERS = (
    "ecs.update_container_instances_state",
    "ec2.terminate_instances",
    "ecs.update_service",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure beside its budget."""

    what: str
    found: int
    allowed: int
    calls: Calls

    def __str__(self) -> str:
        verdict = "" if self.found <= self.allowed else "  OVER"
        return f"| {self.what} | {self.found} | {self.allowed} |{verdict}"


def healthy(runs: int, machines: int, minutes: int = 12) -> Row:
    """The dearest of the passes over runs at work, each of which finds some jobs ended."""
    account = Account(runs, machines)
    ending = max(1, machines // 20)
    worst, entries = Calls(), 0
    for minute in range(minutes):
        account.minute()
        for run in account.runs():
            account.end_jobs(run, ending, waiting=True)
        entries = (minute + 1) * ending
        with account.process() as (services, calls):
            assert len(list(tick_all(services))) == runs
            assert not [*export_all(services), *resume_all(services)]
        # The first pass sees the machines arrive.
        worst = max(worst, calls, key=lambda c: c.total) if minute else worst
    allowed = PASS + runs * (8 + machines // 1_000 + entries // 1_000)
    return Row(
        what=f"a pass over {_of(runs, machines)}", found=worst.total, allowed=allowed, calls=worst
    )


def letting_go(machines: int) -> list[Row]:
    """Nothing waits any more, and half of the machines are idle: they leave, the others stay busy."""
    account = Account(1, machines)
    [run] = account.runs()
    account.minute()
    _tick(account, run.run_id)
    account.end_jobs(run, waiting=True)
    account.end_jobs(run, machines // 2)
    account.minute()
    told = _tick(account, run.run_id)
    account.minute()
    went = _tick(account, run.run_id)
    looks = 8 + machines // 1_000 + 2 * machines // 1_000 + 2 * math.ceil(machines / 100)
    orders = math.ceil(machines / 10) + machines // 1_000 + 1
    return [
        row
        for title, calls in (("are told to leave", told), ("leave", went))
        for row in (
            Row(
                what=f"{machines:,} machines {title}: looks",
                found=calls.total - calls.of(*ORDERS),
                allowed=looks,
                calls=calls,
            ),
            Row(what="and orders", found=calls.of(*ORDERS), allowed=orders, calls=calls),
        )
    ]


def ending(machines: int) -> list[Row]:
    """All jobs have ended, and all machines are there: the ticks from then on to `finished`."""
    account = Account(1, machines)
    [run] = account.runs()
    account.minute()
    _tick(account, run.run_id)
    account.end_jobs(run, waiting=True)
    account.end_jobs(run)
    ticks: list[Calls] = []
    while not account.is_over(run.run_id):
        account.minute()
        ticks.append(_tick(account, run.run_id))
        assert len(ticks) < 30
    worst = max(ticks, key=lambda calls: calls.total)
    # The ledger is read once more, in full.
    allowed = 25 + 3 * math.ceil(machines / 100) + 2 * machines // 1_000
    what = f"the end of a run of {_machines(machines)}, the dearest of {len(ticks)} ticks"
    whole = Calls(sum((calls.by for calls in ticks), Counter()))
    together = f"and all of them ({', '.join(str(calls.total) for calls in ticks)})"
    return [
        Row(what=what, found=worst.total, allowed=allowed, calls=worst),
        Row(what=together, found=whole.total, allowed=len(ticks) * allowed, calls=whole),
    ]


def _tick(account: Account, run_id: str) -> Calls:
    with account.process() as (services, calls):
        tick_run(services, run_id)
    return calls


def _of(runs: int, machines: int) -> str:
    return f"{runs} run{'s' * (runs > 1)} of {_machines(machines)}"


def _machines(machines: int) -> str:
    return f"{machines:,} machine{'s' * (machines > 1)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--machines", type=int, nargs="*", default=[1, 100, 1_000, 5_000])
    parser.add_argument("--operations", action="store_true", help="print each row's requests")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows = [healthy(runs, 5) for runs in options.runs]
    for machines in options.machines:
        rows.append(healthy(1, machines))
        rows += letting_go(machines) if machines > 1 else []
        rows += ending(machines)
    print("| | requests | budget |\n|---|---|---|")
    for row in rows:
        print(row)
        if options.operations:
            print(f"    {row.calls}")


if __name__ == "__main__":
    main()
