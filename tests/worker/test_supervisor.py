"""The worker as a whole: slots, orders to stop, idleness, signs of life."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib import contract
from tests.worker.world import WELLS, World
from worker.protection import Protection
from worker.supervisor import IDLE_STOP_SECONDS, STOP_SECONDS, Clients, Supervisor

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@contextmanager
def running(world: World, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m worker` in a process of its own."""
    variables = {**os.environ, **world.variables(**changes)}
    log = (world.folder / "worker.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"], cwd=ROOT, env=variables, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


def output(world: World) -> str:
    return (world.folder / "worker.log").read_text()


def test_a_plate_is_worked_off_and_an_idle_worker_ends(world: World) -> None:
    for well in WELLS:
        world.send(world.message(well))
    code = world.supervisor(slots=2, idle_seconds=2).run()
    assert code == 0
    assert world.outcomes() == [("done", "")] * 3
    assert sorted(world.runs()) == sorted(WELLS)
    assert world.queued() == (0, 0)
    assert world.leftovers() == []


def test_a_slot_survives_whatever_a_job_does(world: World) -> None:
    world.send('{"cellfleet": {"v": "x"}}')
    world.send(world.message("A01", pipeline="project"))
    world.send(world.message("A02"))
    assert world.supervisor(idle_seconds=2).run() == 0
    assert ("done", "") in world.outcomes()
    assert sorted(world.outputs("A02")) == ["Image.csv", "sub/Nuclei.csv"]


def test_the_end_of_the_run_ends_the_worker(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    assert world.supervisor(slots=2).run() == 0


def test_sigterm_returns_running_jobs_and_exits_well(world: World) -> None:
    world.behave({"A01": "hang", "A02": "hang"})
    for well in ("A01", "A02"):
        world.send(world.message(well))
    with running(world) as process:
        hanging = [world.folder / f"hanging-{well}" for well in ("A01", "A02")]
        wait_for(lambda: all(path.exists() for path in hanging), "two jobs")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    for path in hanging:
        assert not Path(f"/proc/{path.read_text()}").exists()
    copies = [contract.JobMessage.decode(world.lease().body) for _ in hanging]
    assert sorted(copy.group[0][1] for copy in copies) == ["A01", "A02"]
    assert [copy.failures for copy in copies] == [0, 0]
    assert world.ledger() == []
    assert world.leftovers() == []


class Stuck:
    """An AWS client one of whose calls never returns, until the test is over."""

    def __init__(self, client: Any, name: str):
        self.client, self.name = client, name
        self.reached, self.over = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return self._wait if name == self.name else getattr(self.client, name)

    def _wait(self, *_: Any, **__: Any) -> Any:
        self.reached.set()
        self.over.wait(PATIENCE)
        raise OSError("the test is over")


@pytest.mark.parametrize(
    ("service", "call", "patience"),
    [("sqs", "receive_message", IDLE_STOP_SECONDS), ("s3", "upload_file", STOP_SECONDS)],
)
def test_a_stuck_slot_is_waited_for_only_so_long(
    service: str, call: str, patience: float, world: World
) -> None:
    stuck = Stuck(getattr(world, service), call)
    now = [0.0]

    def sleep(seconds: float) -> None:
        time.sleep(0.01)
        if stuck.reached.is_set():
            supervisor.stop("test")
            now[0] += seconds

    clients = {"s3": world.s3, "sqs": world.sqs, service: stuck}
    supervisor = Supervisor(
        world.environment(),
        Clients(clients["s3"], clients["sqs"], None),
        clock=lambda: now[0],
        now=time.time,
        sleep=sleep,
        poll_seconds=0,
    )
    world.send(world.message("A01"))
    assert supervisor.run() == 0
    assert patience <= now[0] < patience + 1
    stuck.over.set()
    if service == "s3":
        wait_for(lambda: world.queued() != (0, 1) or world.ledger(), "the job's end")


def test_a_spot_notice_acts_like_sigterm(world: World, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    world.behave({"A01": "hang"})
    world.send(world.message("A01"))
    with running(world, **{contract.ENV_HOST_DIR: str(host)}) as process:
        wait_for((world.folder / "hanging-A01").exists, "the job")
        assert (host / contract.HOST_ALIVE).exists()
        (host / contract.HOST_SPOT_NOTICE).touch()
        assert process.wait(PATIENCE) == 0
    assert "spot notice" in output(world)
    assert contract.JobMessage.decode(world.lease().body).failures == 0


def test_a_sign_of_life_is_left_with_each_lease_and_each_heartbeat(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "LEASE_SECONDS", 4)  # a heartbeat every two seconds
    alive = tmp_path / contract.HOST_ALIVE
    world.behave({"A01": "hang"})
    world.send(world.message("A01"))
    supervisor = world.supervisor(host_dir=tmp_path)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_for(alive.exists, "the sign that goes with the lease")
    for _ in range(2):
        alive.unlink()
        wait_for(alive.exists, "the sign that goes with a heartbeat")
    supervisor.stop("test")
    thread.join()
    alive.unlink()
    # Polling alone is none.
    world.queue().delete(world.lease())
    assert world.supervisor(host_dir=tmp_path, idle_seconds=1).run() == 0
    assert not alive.exists()


def test_a_sign_that_can_t_be_left_stops_no_job(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.send(world.message("A01"))
    world.supervisor(host_dir=tmp_path / "nowhere", idle_seconds=2).run()
    assert world.outcomes() == [("done", "")]
    assert "sign of life couldn't be left" in capsys.readouterr().out


def test_an_idle_worker_ends_after_15_minutes(world: World) -> None:
    now = [0.0]

    def sleep(_: float) -> None:
        now[0] += 10
        time.sleep(0.01)

    supervisor = Supervisor(
        world.environment(),
        Clients(world.s3, world.sqs, None),
        clock=lambda: now[0],
        now=time.time,
        sleep=sleep,
        poll_seconds=0,
    )
    assert supervisor.run() == 0
    assert 900 < now[0] < 950


def test_a_bad_environment_says_so(world: World) -> None:
    with running(world, SQS_QUEUE_URL="", DOCKER_CORES="many") as process:
        assert process.wait(PATIENCE) == 2
    assert "SQS_QUEUE_URL is not set" in output(world)
    assert "DOCKER_CORES is 'many'" in output(world)


def test_folders_of_a_dead_predecessor_are_removed(world: World) -> None:
    work = world.environment().work
    (work / "job-0000-dead").mkdir(parents=True)
    (work / "keep").mkdir()
    world.sqs.delete_queue(QueueUrl=world.queue_url)
    world.supervisor().run()
    assert [path.name for path in work.iterdir()] == ["keep"]


@pytest.mark.parametrize(("slots", "started"), [(1, 1), (3, 1)])
def test_later_slots_wait_for_their_turn(slots: int, started: int, world: World) -> None:
    """With a long stagger, an order to stop reaches slots that have not begun yet."""
    world.behave({"A01": "hang"})
    for well in WELLS:
        world.send(world.message(well))
    world.behave(dict.fromkeys(WELLS, "hang"))
    supervisor = world.supervisor(slots=slots, seconds_to_start=3600)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
    thread.start()
    wait_for(lambda: list(world.folder.glob("hanging-*")), "the first slot's job")
    supervisor.stop("test")
    thread.join()
    assert codes == [0]
    assert len(world.runs()) == started


def test_ecs_is_asked_for_protection() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    class Agent(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    now = [0.0]
    with HTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        protection = Protection(f"http://127.0.0.1:{server.server_port}/api", lambda: now[0])
        with protection.job():
            with protection.job():
                protection.renew()
            now[0] += 3000
            protection.renew()
        server.shutdown()
        thread.join()
    on, off = {"ProtectionEnabled": True, "ExpiresInMinutes": 60}, {"ProtectionEnabled": False}
    assert asked == [("/api/task-protection/v1/state", body) for body in (on, on, off)]


def test_without_an_ecs_agent_nothing_is_asked() -> None:
    for uri in ("", "http://127.0.0.1:9/nobody"):
        with Protection(uri, time.monotonic).job():
            pass


def test_an_agent_that_talks_nonsense_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"what?\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with Protection(f"http://127.0.0.1:{server.getsockname()[1]}", time.monotonic).job():
            pass
        thread.join()
    assert capsys.readouterr().out.count("ECS didn't protect this task") == 1
