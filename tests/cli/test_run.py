"""The command line's manners: what is wrong is said in a sentence, and nothing is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import run

CONFIG = """
APP_NAME = 'Screen'
LOG_GROUP_NAME = APP_NAME
AWS_BUCKET = 'a-bucket'
EBS_VOL_SIZE = {size}
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody listens there: a command that reaches for AWS fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def test_no_config_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["setup"]) == 1
    assert "config.py" in capsys.readouterr().err


def test_all_problems_of_a_config_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    write("config.py", CONFIG.format(size=3) + "CLUSTER_MACHINS = 2\nDOCKER_CORES = 'many'\n")
    assert run.main(["setup"]) == 1
    told = capsys.readouterr().err
    assert "EBS_VOL_SIZE" in told
    assert "CLUSTER_MACHINES" in told  # the nearest key
    assert "DOCKER_CORES" in told


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["submitJob", "none.json"], "none.json"),
        (["submitJob", "broken.json"], "ends too early"),
        (["startCluster", "broken.json"], "JSON"),
        (["monitor", "list.json"], "JSON object"),
        (["monitor", "empty.json"], "MONITOR_APP_NAME"),
    ],
)
def test_files_that_cant_be_used_are_named(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("config.py", CONFIG.format(size=30))
    write("broken.json", "{")
    write("list.json", "[]")
    write("empty.json", json.dumps({}))
    assert run.main(arguments) == 1
    assert what in capsys.readouterr().err


def test_an_aws_that_doesnt_answer_is_said_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("config.py", CONFIG.format(size=30))
    assert run.main(["setup"]) == 1
    assert "AWS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["setup", "submitJob", "startCluster", "monitor", "stop", "sweep"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main([command, "--help"])
    assert ended.value.code == 0
    assert "--config" in capsys.readouterr().out


def test_monitors_second_argument_is_read_as_a_boolean(monkeypatch: pytest.MonkeyPatch) -> None:
    """`monitor FILE False` isn't cheapest: in DCP, any third word was."""
    asked: list[bool] = []
    write("config.py", CONFIG.format(size=30))
    write("m.json", json.dumps({"MONITOR_APP_NAME": "Screen"}))

    def watch(_services: object, _app: str, *, cheapest: bool) -> None:
        asked.append(cheapest)
        raise KeyboardInterrupt

    replace: Callable[..., None] = monkeypatch.setattr
    replace("chalicelib.operations.control.watch", watch)
    for word in ("True", "true", "False", "no"):
        assert run.main(["monitor", "m.json", word]) == 130
    assert asked == [True, True, False, False]


@pytest.mark.parametrize("arguments", [["stop"], ["monitor"]])
def test_without_a_configuration_an_app_must_be_named(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELLFLEET_BUCKET", "a-bucket")
    assert run.main(arguments) == 1
    assert "the name of the app" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["stop", "Screen"], ["sweep", "--dry-run"]])
def test_without_a_configuration_the_environment_names_the_bucket(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(arguments) == 1
    assert "config.py" in capsys.readouterr().err
    monkeypatch.setenv("CELLFLEET_BUCKET", "a-bucket")
    assert run.main(arguments) == 1
    assert "config.py" not in capsys.readouterr().err  # it came as far as AWS
