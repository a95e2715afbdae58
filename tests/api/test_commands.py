"""The same on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import run
from chalicelib.aws.signing import signed
from chalicelib.contract import MEMORY
from chalicelib.core.api.request import MOST_JOB_FILE_BYTES
from tests.api.conftest import Api
from tests.api.test_runs import dead_run, ledger
from tests.aws.samples import config_keys, job_file
from tests.syntax import ROOT


@pytest.fixture(autouse=True)
def _no_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment alone names the deployment."""
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run.main(arguments) == code
    found = capsys.readouterr()
    return found.err if code else found.out


@pytest.fixture(params=["direct", "over HTTP"])
def where(request: pytest.FixtureRequest, api: Api) -> list[str]:
    """The options that say who does it."""
    return ["--api", api.url] if request.param == "over HTTP" else []


def test_runs_and_how_one_stands(
    api: Api, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    run_id = api.set_up()["run"]
    api.submit()
    assert f"{run_id}  open         4 jobs\n" in said(capsys, "runs", "--live", *where)
    told = said(capsys, "status", "App", *where)
    assert f"{run_id} is open" in told
    assert "4: 0 done, 0 dead" in told
    assert json.loads(said(capsys, "status", run_id, "--json", *where))["jobs"]["total"] == 4


def test_failures_and_redrive(
    api: Api, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    run_id = ledger(api)
    assert said(capsys, "failures", run_id, *where).count("too big") == 3
    lines = said(capsys, "failures", "--dead", "--json", "App", *where).splitlines()
    assert {json.loads(line)["sentence"] for line in lines} == {"no such image"}
    assert "0 dead jobs" in said(capsys, "redrive", "App", "--cause", MEMORY, *where)
    assert f"2 dead jobs of {run_id} sent again" in said(capsys, "redrive", "App", *where)
    assert len(api.messages()) == 2


def test_one_job_is_sent_again(
    api: Api, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    run_id, dead = dead_run(api)
    job = dead[0]["cellfleet"]["job"]
    assert "1 dead jobs" in said(capsys, "redrive", run_id, "--job", job, *where)


def test_scale(api: Api, capsys: pytest.CaptureFixture[str], where: list[str]) -> None:
    run_id = api.set_up(CLUSTER_MACHINES=3)["run"]
    assert "at most 2 machines" in said(capsys, "scale", "2", "App", *where)
    assert api.services().runs.load(run_id).scaled_to == 2
    assert "at most 2 (so many were asked for" in said(capsys, "status", "App", *where)
    assert "at most 3 machines" in said(capsys, "scale", "all", "App", *where)
    assert api.services().runs.load(run_id).scaled_to is None
    assert "MACHINES" in said(capsys, "scale", "few", "App", *where, code=1)
    assert "1 to 3" in said(capsys, "scale", "4", "App", *where, code=1)


def test_what_isnt_there(api: Api, capsys: pytest.CaptureFixture[str], where: list[str]) -> None:
    assert api.objects() == []
    assert "never had a run" in said(capsys, "status", "App", *where, code=1)
    gone = "App-20260301T12000000ff"
    assert "there is no run" in said(capsys, "failures", gone, *where, code=1)


def test_a_reader_who_has_had_enough_sees_no_traceback(api: Api) -> None:
    run_id = api.set_up()["run"]
    shell = f"{sys.executable} {ROOT / 'run.py'} status {run_id} --json | true"
    done = subprocess.run(["bash", "-c", shell], text=True, capture_output=True, check=True)
    assert done.stderr == ""


CONFIG = "\n".join(f"{key} = {value!r}" for key, value in config_keys().items())


def test_dcps_commands_over_http(api: Api, tmp_path: Path) -> None:
    """By a process that reaches nothing of the account but the API."""
    env = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
           "AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret"}  # fmt: skip

    def elsewhere(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments, "--api", api.url],
            cwd=tmp_path,
            env=env,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "plate 1.json").write_text(json.dumps(job_file(3)))
    assert "App is set up as run App-" in elsewhere("setup")
    assert "closed: 3 jobs in run App-" in elsewhere("submitJob", "plate 1.json")
    assert "machines, at most 3" in elsewhere("startCluster")
    assert " is ending" in elsewhere("stop")
    assert "is being removed" in elsewhere("startCluster", code=1)
    (tmp_path / "config.py").write_text(CONFIG.replace("7000", "'much'"))
    assert "MEMORY" in elsewhere("setup", code=1)


def test_a_job_file_that_is_too_large_for_a_request_is_uploaded(
    api: Api, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.py").write_text(CONFIG)
    padding = "x" * (MOST_JOB_FILE_BYTES - 1_000)
    body = job_file(3, _comment_1=padding, _comment_2="x" * 2_000)
    (tmp_path / "large.json").write_text(json.dumps(body))
    told = said(capsys, "submitJob", "large.json", "--api", api.url)
    assert "uploaded as jobs/App/large.json" in told
    stored = api.services().store.read("jobs/App/large.json")
    assert stored is not None
    assert json.loads(stored.body) == body


def test_where_there_is_no_api(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert "can't be reached" in said(capsys, "runs", "--api", "http://127.0.0.1:9/api", code=1)
    refused = said(capsys, "runs", "--api", f"{api.url}/elsewhere", code=1)
    assert "execute-api:Invoke" in refused


def test_requests_are_signed_for_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    url = "https://x.execute-api.eu-west-1.amazonaws.com/api/runs?limit=2&app=App"
    headers = signed("GET", url, b"", {"Content-Type": "application/json"}, region="eu-west-1")
    assert "AKIDEXAMPLE/" in headers["Authorization"]
    assert "/eu-west-1/execute-api/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"
    assert headers["Content-Type"] == "application/json"
