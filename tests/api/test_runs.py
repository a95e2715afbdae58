"""How runs stand, what failed, and once more, over HTTP."""

from __future__ import annotations

import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.contract import DEAD, DONE, FAILED, INPUT, MEMORY
from chalicelib.core import keys
from chalicelib.core.run import Phase, RunRecord
from chalicelib.operations import control, failures, redrive, run_view
from chalicelib.operations.tick import tick_run
from tests.api.conftest import Api
from tests.aws.samples import config_keys

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def put_run(api: Api, app: str, number: int, phase: Phase = Phase.FINISHED) -> str:
    """A run's record, as if it had been; its id."""
    run_id = f"{app}-{MOMENT + timedelta(minutes=number):%Y%m%dT%H%M%S}00ff"
    record = RunRecord(
        run_id=run_id,
        app=app,
        deployment="cellfleet-local",
        phase=phase,
        created_at=MOMENT,
        config=config_keys(app),
        worker="cellfleet",
        image="an/image:1",
    )
    store = api.services().store
    store.put(keys.run_record(run_id), record.to_json())
    store.put(f"runs/{run_id}/status.json", b"{}")
    store.put(f"runs/{run_id}/submissions/zzz/jobs.gz", b"")
    if phase is not Phase.FINISHED:
        store.put(keys.live(run_id), b"")
    return run_id


def all_pages(api: Api, path: str, what: str) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        page = api.get(path + after)
        found += page[what]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


# --- lists ----------------------------------------------------------------------------------------


def test_no_runs(api: Api) -> None:
    assert api.get("/runs") == {"runs": [], "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("live", ["false", "true"])
def test_runs_are_listed_page_by_page(api: Api, limit: int, live: str) -> None:
    finished = [put_run(api, app, n) for app in ("App", "App-B", "Zoo") for n in range(2)]
    going = [put_run(api, app, 9, Phase.OPEN) for app in ("App", "App-B", "Zoo")]
    api.services().store.put("runs/pending/App/0123.json", b"{}")
    api.services().store.put(f"runs/exporting/{finished[0]}", b"")
    listed = all_pages(api, f"/runs?limit={limit}&live={live}", "runs")
    expected = going if live == "true" else [*finished, *going]
    assert [run["run"] for run in listed] == sorted(expected)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_runs_of_one_app_are_its_own(api: Api, limit: int) -> None:
    mine = [put_run(api, "App", n) for n in range(3)]
    for n in range(3):
        put_run(api, "App-B", n)
    listed = all_pages(api, f"/runs?limit={limit}&app=App", "runs")
    assert [run["run"] for run in listed] == mine


def test_a_record_that_cant_be_read_hides_no_other(api: Api) -> None:
    broken, whole = put_run(api, "App", 1), put_run(api, "App", 2)
    api.services().store.put(keys.run_record(broken), b"{")
    listed = api.get("/runs")["runs"]
    assert [(run["run"], run["phase"]) for run in listed] == [
        (broken, "unknown"),
        (whole, "finished"),
    ]
    assert "can't be read" in listed[0]["problem"]
    assert api.call("GET", f"/runs/{broken}").status == 409


# --- one run --------------------------------------------------------------------------------------


def test_a_run_tells_its_counts_causes_and_cost(api: Api) -> None:
    run = api.set_up()["run"]
    api.submit(wells=4, start=True)
    now = datetime.now(UTC)
    minute = f"{now:%Y%m%dT%H%M}"
    jobs = api.messages()
    api.record(jobs[0], DONE, minute=minute)
    api.record(jobs[1], FAILED, cause=MEMORY, minute=minute)
    api.record(jobs[1], DEAD, cause=MEMORY, attempt=2, minute=minute)
    tick_run(api.services(), run)
    told = api.get(f"/runs/{run}")
    counts = told["jobs"]
    assert (counts["total"], counts["done"], counts["dead"]) == (4, 1, 1)
    assert counts["failed_tries"] == 1
    assert [(cause["cause"], cause["jobs"]) for cause in told["causes"]] == [(MEMORY, 1)]
    assert "MEMORY" in told["causes"][0]["helps"]
    there = told["machines"]["there"]
    assert there > 0
    assert told["dollars"]["an_hour_at_most"] == pytest.approx(0.1 * there)
    hours = told["dollars"]["machine_hours"]
    assert told["dollars"]["so_far_at_most"] == pytest.approx(0.1 * hours, abs=1e-4)
    assert told["pace"]["per_minute"] == pytest.approx(2)
    assert told["pace"]["expected_end"] > now.isoformat()
    assert told["submissions"][0]["output"] == "s3://cellfleet-local/project/output"


def test_a_run_before_its_first_tick_is_told_by_its_record(api: Api) -> None:
    run = api.set_up()["run"]
    told = api.get(f"/runs/{run}")
    assert (told["seen_at"], told["jobs"]["total"], told["machines"]["at_most"]) == (None, 0, 3)


@pytest.mark.parametrize("path", ["", "/failures", "/report"])
def test_a_run_that_isnt_there(api: Api, path: str) -> None:
    reply = api.call("GET", f"/runs/App-20260301T12000000ff{path}")
    assert (reply.status, reply.body["error"]) == (404, "not-found")


@pytest.mark.parametrize(
    "run", ["App", "..", "%2e%2e", "pending", "App-20260301T12000000ff%2F..", "App-20260301T12000000FF"]
)  # fmt: skip
def test_what_cant_be_a_runs_id(api: Api, run: str) -> None:
    assert api.call("GET", f"/runs/{run}").status == 400


def test_a_report_is_linked_once_there_is_one(api: Api) -> None:
    run = put_run(api, "App", 1)
    assert api.call("GET", f"/runs/{run}/report").status == 404
    api.services().store.put(keys.report(run), b"<p>all well</p>")
    with urllib.request.urlopen(api.get(f"/runs/{run}/report")["url"]) as page:
        assert page.read() == b"<p>all well</p>"


# --- failures -------------------------------------------------------------------------------------


def ledger(api: Api) -> str:
    """A run with 2 done, 3 failed and 2 dead outcomes; its id."""
    run = str(api.set_up()["run"])
    api.submit(wells=7)
    jobs = api.messages()
    for number, job in enumerate(jobs[:3]):
        api.record(job, FAILED, cause=MEMORY, minute=f"20260301T12{number:02}", sentence="too big")
    for job in jobs[3:5]:
        api.record(job, DEAD, cause=INPUT, minute="20260301T1230", sentence="no such image")
    for job in jobs[5:]:
        api.record(job, DONE, minute="20260301T1205")
    return run


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_failures_come_page_by_page(api: Api, limit: int) -> None:
    run = ledger(api)
    listed = all_pages(api, f"/runs/{run}/failures?limit={limit}", "failures")
    assert [f["cause"] for f in listed] == [MEMORY] * 3 + [INPUT] * 2
    assert len({f["job"] for f in listed}) == 5
    assert [f["at"] for f in listed] == sorted(f["at"] for f in listed)
    dead = all_pages(api, f"/runs/{run}/failures?outcome=dead&limit={limit}", "failures")
    assert [f["sentence"] for f in dead] == ["no such image"] * 2
    assert dead[0]["group"] == {"Metadata_Well": "A01"}


def test_an_entry_that_cant_be_read_is_told_by_its_key(api: Api) -> None:
    run = ledger(api)
    key = next(k for k in api.objects() if "/ledger/20260301T1230/" in k)
    api.services().store.put(key, b"not JSON")
    dead = api.get(f"/runs/{run}/failures?outcome=dead")["failures"]
    assert {f["sentence"] for f in dead} == {"", "no such image"}


def test_dcp_workers_tell_no_failures(api: Api) -> None:
    run = api.set_up(WORKER="dcp")["run"]
    for method, path in [("GET", "failures"), ("POST", "redrive")]:
        reply = api.call(method, f"/runs/{run}/{path}")
        assert reply.status == 409
        assert "lab_DeadMessages" in reply.body["message"]


# --- redrive --------------------------------------------------------------------------------------


def well(message: dict[str, Any]) -> str:
    return str(message["Metadata"])


def dead_run(api: Api, wells: int = 5, dead: int = 3) -> tuple[str, list[dict[str, Any]]]:
    """A run in which some jobs are dead and the others done; its id, and the dead ones."""
    run = str(api.set_up()["run"])
    api.submit(wells=wells)
    jobs = sorted(api.messages(), key=well)
    for job in jobs[:dead]:
        api.record(job, DEAD, cause=INPUT)
    for job in jobs[dead:]:
        api.record(job, DONE)
    return run, jobs[:dead]


def test_dead_jobs_are_sent_again_and_once(api: Api) -> None:
    run, dead = dead_run(api)
    reply = api.call("POST", f"/runs/{run}/redrive")
    assert (reply.status, reply.body["jobs"]) == (200, 3)
    again = api.messages()
    assert Counter(map(well, again)) == Counter(map(well, dead))
    first, second = dead[0]["cellfleet"], sorted(again, key=well)[0]["cellfleet"]
    assert (second["job"], second["folder"]) == (first["job"], first["folder"])
    assert second["submission"] != first["submission"]
    assert second["failures"] == 0
    reply = api.call("POST", f"/runs/{run}/redrive")
    assert (reply.status, reply.body) == (200, {"jobs": 0, "submissions": []})
    assert api.messages() == []


def test_the_live_run_waits_for_what_was_sent_again(api: Api) -> None:
    run, dead = dead_run(api)
    api.call("POST", f"/runs/{run}/redrive")
    tick_run(api.services(), run)
    assert api.get(f"/runs/{run}")["phase"] == "open"
    for job in api.messages():
        api.record(job, DONE, minute=f"{datetime.now(UTC):%Y%m%dT%H%M}")
    sqs = api.client("sqs")
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"])
    tick_run(api.services(), run)
    assert api.get(f"/runs/{run}")["phase"] != "open"
    assert len(dead) == 3


def test_jobs_that_die_once_more_can_be_sent_once_more(api: Api) -> None:
    run, _ = dead_run(api)
    api.call("POST", f"/runs/{run}/redrive")
    again = sorted(api.messages(), key=well)
    api.record(again[0], DEAD, cause=MEMORY)
    assert api.call("POST", f"/runs/{run}/redrive").body["jobs"] == 1
    assert [well(m) for m in api.messages()] == [well(again[0])]


def test_some_of_the_dead_by_id_or_by_cause(api: Api) -> None:
    run, dead = dead_run(api)
    api.record(dead[0], DEAD, cause=MEMORY, minute="20260301T1201")
    assert api.call("POST", f"/runs/{run}/redrive", {"causes": [MEMORY]}).body["jobs"] == 1
    one = dead[1]["cellfleet"]["job"]
    assert api.call("POST", f"/runs/{run}/redrive", {"jobs": [one]}).body["jobs"] == 1
    assert Counter(map(well, api.messages())) == Counter(map(well, dead[:2]))


def test_a_job_that_isnt_dead_is_named(api: Api) -> None:
    run, _ = dead_run(api)
    reply = api.call("POST", f"/runs/{run}/redrive", {"jobs": ["0" * 20]})
    assert reply.status == 400
    assert reply.body["problems"][0]["found"] == "0" * 20
    assert api.messages() == []


def test_a_job_that_was_done_after_all_isnt_sent_again(api: Api) -> None:
    run, dead = dead_run(api)
    api.record(dead[0], DONE, minute="20260301T1300")
    assert api.call("POST", f"/runs/{run}/redrive").body["jobs"] == 2


def test_the_dead_of_a_finished_run_begin_a_new_one(api: Api) -> None:
    run, dead = dead_run(api)
    control.stop(api.services(), "App")
    tick_run(api.services(), run)
    assert api.get(f"/runs/{run}")["phase"] == "finished"
    api.set_up(MEMORY=6000)  # mended meanwhile
    reply = api.call("POST", f"/runs/{run}/redrive")
    assert (reply.status, reply.body["jobs"]) == (200, 3)
    new = reply.body["submissions"][0]["run"]
    assert new != run
    assert {m["cellfleet"]["run"] for m in api.messages()} == {new}
    assert api.services().runs.load(new).config["MEMORY"] == 6000
    assert api.call("POST", f"/runs/{run}/redrive").body["jobs"] == 0
    assert len(dead) == 3


def test_a_redrive_that_died_after_its_file_is_gone_on_with(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dead = dead_run(api)

    def die(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(redrive, "go", die)
        with pytest.raises(KeyboardInterrupt):
            redrive.redrive(api.services(), run)
    assert api.messages() == []
    assert api.call("POST", f"/runs/{run}/redrive").body["jobs"] == 3
    assert Counter(map(well, api.messages())) == Counter(map(well, dead))


def test_a_redrive_that_is_refused_can_be_tried_again(api: Api) -> None:
    """The run is over, and something of its names is somebody else's now."""
    run, _ = dead_run(api)
    control.stop(api.services(), "App")
    tick_run(api.services(), run)
    url = api.client("sqs").create_queue(QueueName="AppQueue")["QueueUrl"]
    assert api.call("POST", f"/runs/{run}/redrive").status == 409
    api.client("sqs").delete_queue(QueueUrl=url)
    assert api.call("POST", f"/runs/{run}/redrive").body["jobs"] == 3


def test_two_job_files_are_sent_again_each_by_its_own(api: Api) -> None:
    run = str(api.set_up()["run"])
    api.submit(wells=2)
    api.submit(wells=2, pipeline="project/other.cppipe")
    for job in api.messages():
        api.record(job, DEAD, cause=INPUT)
    reply = api.call("POST", f"/runs/{run}/redrive")
    assert [one["jobs"] for one in reply.body["submissions"]] == [2, 2]
    assert Counter(m["pipeline"] for m in api.messages()) == {
        "project/analysis.cppipe": 2,
        "project/other.cppipe": 2,
    }


@pytest.mark.parametrize("calls", [1, 3])
def test_a_large_ledger_is_looked_through_piece_by_piece(
    api: Api, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Pages are short, or empty, and nothing is left out or told twice."""
    run = ledger(api)
    everything = all_pages(api, f"/runs/{run}/failures?limit=100", "failures")
    monkeypatch.setattr(failures, "_CALL", 1)
    monkeypatch.setattr(failures, "_MOST_CALLS", calls)
    for limit in (1, 2, 100):
        assert all_pages(api, f"/runs/{run}/failures?limit={limit}", "failures") == everything


def test_many_runs_are_looked_through_piece_by_piece(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = [put_run(api, "App", n) for n in range(3)]
    for n in range(5):
        put_run(api, "App-B", n)
    monkeypatch.setattr(run_view, "_CALL", 2)
    monkeypatch.setattr(run_view, "_MOST_CALLS", 2)
    for live in ("false", "true"):
        listed = all_pages(api, f"/runs?limit=2&app=App&live={live}", "runs")
        assert [run["run"] for run in listed] == (mine if live == "false" else [])
