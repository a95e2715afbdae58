"""`run.py local` in the foreground: ready, stopped by Ctrl-C, nothing left."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local.serve import READY, main
from tests.local.tools import pids_with, until
from tests.syntax import ROOT

# A small app instead of the project's: it notes job files in the bucket, and starts one worker
# (through fleet and service, as the control plane would) when the first one comes.
PROGRAM = """
import os, sys
from pathlib import Path

import boto3
from chalice.app import Chalice

from local.ecs import Timing
from local.serve import LocalCellFleet, serve
from tests.local.tools import Site


def load():
    app = Chalice(app_name="fake")

    @app.on_s3_event(bucket=os.environ["CELLFLEET_BUCKET"], prefix="jobs/", suffix=".json")
    def on_job_file(event):
        boto3.client("s3").put_object(
            Bucket=event.bucket, Key="seen/" + event.key, Body=b"seen"
        )
        with Site(local.aws, Path(os.devnull)) as site:
            site.fleet("App", 1)
            site.service("App", 2)

    @app.schedule("rate(1 minute)")
    def tick(event):
        boto3.client("s3").put_object(Bucket=os.environ["CELLFLEET_BUCKET"], Key="ticked", Body=b"")

    return app


stubborn = "trap '' TERM; while :; do sleep 0.1; done"
local = LocalCellFleet(
    seconds_per_tick=0.1,
    state_dir=None,
    worker=["sh", "-c", stubborn, sys.argv[1]],
    load_app=load,
    timing=Timing(poll=0.05, boot=0.0),
    grace=0.5,
)
sys.exit(serve(local))
"""


class Server:
    """The program in a process of its own; `mark` stands in the command line of its workers."""

    def __init__(self, mark: str, folder: Path):
        self.mark = mark
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_")
        }
        environment.update(TMPDIR=str(folder), PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, mark],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            if READY in line:
                break
        found = re.search(r"^export AWS_ENDPOINT_URL=(\S+)$", "\n".join(self.said), re.MULTILINE)
        assert found, self.said
        self.s3 = boto3.Session(
            aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
        ).client("s3", endpoint_url=found.group(1))

    def objects(self) -> list[str]:
        found = self.s3.list_objects_v2(Bucket="cellfleet-local")
        return [item["Key"] for item in found.get("Contents", [])]

    def workers(self) -> list[int]:
        # "sh -c … mark": the mark is the shell's $0, so the server itself doesn't match.
        return [pid for pid in pids_with(f"\0{self.mark}\0") if pid != self.process.pid]

    def start_workers(self) -> None:
        self.s3.put_object(Bucket="cellfleet-local", Key="jobs/App/a b.json", Body=b"{}")
        # Each in a container: its first process, and the shell.
        until(lambda: len(self.workers()) >= 4)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(f"mark-{os.getpid()}-{tmp_path.name}", tmp_path)
    yield running
    running.s3.close()
    running.process.kill()
    running.process.communicate()


def test_an_upload_reaches_the_handler_and_ticks_come(server: Server) -> None:
    server.start_workers()

    assert "seen/jobs/App/a b.json" in server.objects()
    until(lambda: "ticked" in server.objects())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(server: Server, number: signal.Signals, tmp_path: Path) -> None:
    server.start_workers()

    server.process.send_signal(number)
    _, errors = server.process.communicate(timeout=60)

    assert server.process.returncode == 0
    assert "Traceback" not in errors
    assert server.workers() == []
    assert list(tmp_path.iterdir()) == []  # no temporary folder left


def test_its_death_leaves_no_worker(server: Server) -> None:
    server.start_workers()

    server.process.kill()
    server.process.wait()

    until(lambda: server.workers() == [])


def test_a_taken_port_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["--port", str(port)]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1:{port} is in use" in line
    assert "--port" in line


@pytest.mark.parametrize("arguments", [["--seconds-per-tick", "0"], ["--port", "x"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err
