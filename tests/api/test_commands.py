"""The same on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import run
from chalicelib.contract import MEMORY
from tests.api.conftest import Api
from tests.api.test_runs import dead_run, ledger


@pytest.fixture(autouse=True)
def _no_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment alone names the deployment."""
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run.main(arguments) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def test_runs_and_how_one_stands(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = api.set_up()["run"]
    api.submit()
    assert f"{run_id}  open         4 jobs\n" in said(capsys, "runs", "--live")
    told = said(capsys, "status", "App")
    assert f"{run_id} is open" in told
    assert "4: 0 done, 0 dead" in told
    assert json.loads(said(capsys, "status", run_id, "--json"))["jobs"]["total"] == 4


def test_failures_and_redrive(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = ledger(api)
    assert said(capsys, "failures", run_id).count("too big") == 3
    told = [json.loads(line) for line in said(capsys, "failures", "--dead", "--json", "App").split("\n") if line]  # fmt: skip
    assert {one["sentence"] for one in told} == {"no such image"}
    assert "0 dead jobs" in said(capsys, "redrive", "App", "--cause", MEMORY)
    assert f"2 dead jobs of {run_id} sent again" in said(capsys, "redrive", "App")
    assert len(api.messages()) == 2


def test_one_job_is_sent_again(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, dead = dead_run(api)
    job = dead[0]["cellfleet"]["job"]
    assert "1 dead jobs" in said(capsys, "redrive", run_id, "--job", job)


def test_scale(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = api.set_up(CLUSTER_MACHINES=3)["run"]
    assert "at most 2 machines" in said(capsys, "scale", "2", "App")
    assert api.services().runs.load(run_id).scaled_to == 2
    assert "at most 2 (so many were asked for" in said(capsys, "status", "App")
    said(capsys, "scale", "all", "App")
    assert api.services().runs.load(run_id).scaled_to is None
    assert "MACHINES" in said(capsys, "scale", "few", "App", code=1)
    assert "1 to 3" in said(capsys, "scale", "4", "App", code=1)


def test_what_isnt_there(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert api.objects() == []
    assert "never had a run" in said(capsys, "status", "App", code=1)
    assert "there is no run" in said(capsys, "failures", "App-20260301T12000000ff", code=1)
