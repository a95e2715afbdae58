"""The ledger's counts: incremental while a run goes on, exact before it ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chalicelib.aws import ledger
from chalicelib.contract import CRASH, DEAD, DONE, FAILED, MEMORY, SKIPPED, LedgerEntry
from chalicelib.core.observation import Progress
from chalicelib.core.tally import Tally
from tests.aws.conftest import World

RUN = "App-20260301T120000abcd"


def write(
    world: World,
    job: str,
    outcome: str,
    attempt: int = 1,
    late: float = 0,
    cause: str = "",
    seconds: int = 0,
) -> None:
    """An entry by a worker whose clock is `late` minutes behind."""
    world.clock.advance(minutes=-late)
    entry = LedgerEntry(
        run=RUN,
        minute=f"{world.clock():%Y%m%dT%H%M}",
        submission="aa",
        job=job,
        attempt=attempt,
        outcome=outcome,
        cause=cause,
        seconds=seconds,
    )
    world.clock.advance(minutes=late)
    world.put(entry.key(), b"{}")


def test_counts_go_on_where_the_last_tick_stopped(world: World) -> None:
    store, tally = world.process().store, Tally()
    seen = []
    exact = []
    for hour in range(4):
        for job in range(3):
            write(world, f"{hour}{job}", DONE if job else FAILED)
        write(world, f"{hour}f", SKIPPED, late=10)  # written late, into a minute listed before
        progress, tally = ledger.read(store, RUN, tally, world.clock())
        seen.append((progress.done, progress.failures))
        exact.append(progress.exact)
        world.clock.advance(minutes=40)
    assert seen == [(3, 1), (6, 2), (9, 3), (12, 4)]
    assert not any(exact)


def test_old_minutes_are_not_listed_again(world: World) -> None:
    store, tally = world.process().store, Tally()
    for job in range(5):
        write(world, f"0{job}", DONE)
    world.clock.advance(hours=1)
    _, tally = ledger.read(store, RUN, tally, world.clock())
    for key in world.keys(f"runs/{RUN}/ledger/"):
        world.client("s3").delete_object(Bucket=store.bucket, Key=key)
    progress, _ = ledger.read(store, RUN, tally, world.clock())
    assert progress.done == 5


def test_the_exact_count_tells_jobs_apart_and_done_beats_dead(world: World) -> None:
    write(world, "01", DEAD)
    write(world, "01", DONE, attempt=2)  # a second delivery went well
    write(world, "02", DONE)
    write(world, "02", DONE, attempt=2)
    write(world, "03", DEAD)
    write(world, "04", FAILED)
    world.put(f"runs/{RUN}/ledger/stray file", b"")
    progress = ledger.read_all(world.process().store, RUN, 4)
    assert (progress.done, progress.dead, progress.failures) == (2, 1, 1)
    assert progress.ended == {"aa": 3}
    assert progress.exact


def test_causes_times_and_pace_come_from_the_keys_and_survive_the_status(world: World) -> None:
    store, tally = world.process().store, Tally()
    progress = Progress()
    for hour in range(3):
        write(world, f"{hour}0", FAILED, cause=CRASH)
        write(world, f"{hour}1", DEAD, cause=MEMORY)
        for job in range(2, 6):
            write(world, f"{hour}{job}", DONE, seconds=600)
        progress, tally = ledger.read(store, RUN, tally, world.clock() + timedelta(minutes=10))
        tally = Tally.model_validate_json(tally.model_dump_json())
        world.clock.advance(minutes=40)
    assert progress.failed_by == {CRASH: 3}
    assert progress.dead_by == {MEMORY: 3}
    assert progress.timed == 12
    assert progress.seconds == pytest.approx(600, rel=0.025)
    assert progress.per_minute == pytest.approx(5 / 15)
    assert [(o.job, o.cause) for o in progress.first[:3]] == [
        ("aa.00", CRASH),
        ("aa.01", MEMORY),
        ("aa.02", ""),
    ]
    exact = ledger.read_all(store, RUN, 18, progress)
    assert (exact.done, exact.seconds, exact.first) == (12, progress.seconds, progress.first)


def test_a_tally_of_an_earlier_version_is_gone_on_from(world: World) -> None:
    old = Tally.model_validate_json('{"minute": "20260301T1100", "done": 7, "dead": 1}')
    write(world, "01", DONE, seconds=60)
    progress, _ = ledger.read(world.process().store, RUN, old, world.clock())
    assert (progress.done, progress.dead, progress.timed) == (8, 1, 1)
