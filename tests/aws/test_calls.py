"""How many requests a tick makes: counted on the wire, where every page and every retry is one.

For thousands of machines see `benchmarks/tick_calls.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.core.run import Phase
from chalicelib.handlers.monitor import tick
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import World
from tests.aws.machines import backend_of, instance_ids, register
from tests.aws.samples import config_keys, job_file
from tests.aws.test_scale_in import end_job, take_all
from tests.aws.test_submit import event, send_event
from tests.aws.test_tick import finish_jobs

#: What a pass asks once, however many runs there are: where it begins, which runs are live, whose
#: logs are to be exported, which submissions wait.
PASS = 4
A_TICK, AN_END = 8, 25


def requests(world: World, act: Callable[[], object]) -> int:
    before = world.wire.requests
    act()
    return world.wire.requests - before


def at_work(world: World, *apps: str) -> dict[str, str]:
    """Runs with all their machines there and at work; app to run id."""
    runs = {}
    for app in apps:
        keys = config_keys(app, DOCKER_CORES=1, CPU_SHARES=1024, SQS_MESSAGE_VISIBILITY=3600)
        body = job_file(6, config=keys)
        uploaded = event(f"jobs/{app}/plate.json", world.put(f"jobs/{app}/plate.json", body))
        runs[app] = send_event(world, uploaded).run_id
        machines = instance_ids(world, runs[app])
        assert len(machines) == 3
        for name in machines:
            register(world, name, run_id=runs[app], tasks=1)
        for service in backend_of(world).services.values():
            if service.name == f"{app}Service":
                service.running_count = 3
    return runs


def test_a_healthy_tick_asks_little(world: World) -> None:
    runs = at_work(world, "A")
    for _ in range(8):
        world.clock.advance(minutes=1)
        assert requests(world, lambda: tick_run(world.process(), runs["A"])) <= A_TICK
    status = tick_run(world.process(), runs["A"])
    assert status is not None
    assert (status.phase, status.machines, status.errors) == (Phase.OPEN, 3, ())


def test_three_runs_ask_three_times_as_much_and_a_pass_a_little(world: World) -> None:
    at_work(world, "A", "B", "C")
    for _ in range(6):
        world.clock.advance(minutes=1)
        made = requests(world, lambda: tick(world.process("monitor")))
        assert made <= PASS + 3 * A_TICK


def test_machines_are_looked_at_one_by_one_only_while_some_leave(world: World) -> None:
    runs = at_work(world, "App")
    held = take_all(world)
    for message in held[:5]:
        end_job(world, message)
    world.clock.advance(minutes=1)
    start = len(world.wire.seen)
    made = requests(world, lambda: tick_run(world.process(), runs["App"]))
    listed = [name for name in world.wire.seen[start:] if name.endswith("ListContainerInstances")]
    assert len(listed) == 1
    # One look at each machine, and one order.
    assert made <= A_TICK + 2 + 1


def test_an_end_asks_little(world: World) -> None:
    """All at once here, since the emulator's machines and services go in no time."""
    runs = at_work(world, "A")
    finish_jobs(world, "AQueue")
    made = requests(world, lambda: tick_run(world.process(), runs["A"]))
    assert world.process().runs.load(runs["A"]).phase is Phase.FINISHED
    # The emulator's ECS forgets no machine: each of the three is deregistered.
    assert made <= A_TICK + AN_END + 3
