"""A local container: nothing that was started in it survives it."""

import signal
import sys
from pathlib import Path

import pytest

from local.machines import Container
from tests.local.tools import is_running, until

# Starts a grandchild in a session of its own, as an engine might be, and prints its number.
STRAY = (
    "import os, subprocess, sys, time\n"
    "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)\n"
    "{then}\n"
)


def start(tmp_path: Path, *command: str) -> Container:
    return Container(
        command, folder=tmp_path, environment={"PATH": "/bin:/usr/bin"}, log=log(tmp_path)
    )


def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def stray(tmp_path: Path) -> int:
    return int(until(lambda: log(tmp_path).read_text().strip()))


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_its_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    container = start(tmp_path, "sh", "-c", script)

    assert until(
        lambda: [container.exit_code()] if container.exit_code() is not None else None
    ) == [code]


def test_a_command_that_does_not_exist_is_named_in_the_log(tmp_path: Path) -> None:
    container = start(tmp_path, "no-such-worker")

    until(lambda: container.exit_code() == 127)
    assert "no-such-worker" in log(tmp_path).read_text()


def test_both_outputs_go_to_the_log_and_there_is_no_input(tmp_path: Path) -> None:
    container = start(tmp_path, "sh", "-c", "echo out; echo err >&2; cat; echo end")

    until(lambda: container.exit_code() == 0)
    assert log(tmp_path).read_text().split() == ["out", "err", "end"]


def test_sigterm_reaches_the_command_alone(tmp_path: Path) -> None:
    container = start(
        tmp_path,
        "sh",
        "-c",
        "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done",
    )
    until(lambda: "up" in log(tmp_path).read_text())

    container.terminate()

    until(lambda: container.exit_code() == 3)
    assert "asked" in log(tmp_path).read_text()


def test_when_the_command_ends_what_it_left_running_is_killed(tmp_path: Path) -> None:
    container = start(tmp_path, sys.executable, "-c", STRAY.format(then="sys.exit(5)"))

    until(lambda: container.exit_code() == 5)

    assert not is_running(stray(tmp_path))


def test_killing_it_kills_everything_in_it(tmp_path: Path) -> None:
    then = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    container = start(tmp_path, sys.executable, "-c", STRAY.format(then=then))
    left = stray(tmp_path)
    container.terminate()
    assert container.exit_code() is None

    container.kill()

    assert container.exit_code() == 128 + signal.SIGKILL
    assert not is_running(left)
