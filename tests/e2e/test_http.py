"""A whole run over HTTP: refused, sent, watched to its end, its dead jobs mended and sent again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.outside import Outside
from tests.e2e.plates import config, job_file, made_up_plate, made_up_result

pytestmark = pytest.mark.timeout(600)

APP, PROJECT, WELLS, MISSING = "OverHttp", "over-http", ("A01", "A02", "A03"), "A02"


def ask(outside: Outside, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and body of an answer."""
    request = urllib.request.Request(
        outside.fleet.aws.env["CELLFLEET_API"] + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def finished(outside: Outside, run: str) -> dict[str, Any]:
    """A run once it has finished, as the API tells it."""

    def now() -> dict[str, Any] | None:
        told: dict[str, Any] = ask(outside, "GET", f"/runs/{run}")[1]
        return told if told["phase"] == "finished" else None

    return outside.until(now)


@pytest.mark.usefixtures("stand_in")
def test_a_run_over_http_and_its_dead_jobs_once_more(outside: Outside) -> None:
    objects = made_up_plate(PROJECT, WELLS)
    image = f"{PROJECT}/images/{MISSING}.img"
    for key, body in objects.items():
        if key != image:
            outside.put(key, body)
    jobs = {**job_file(PROJECT, WELLS), "config": config(APP, outside.bucket, MACHINE_PRICE=0.1)}

    status, told = ask(outside, "POST", f"/apps/{APP}/jobs", {**jobs, "pipeline": 7, "groups": []})
    assert (status, told["problems_in_all"]) == (400, 2)
    status, sent = ask(outside, "POST", f"/apps/{APP}/jobs", jobs)
    assert (status, sent["jobs"]) == (201, 3)
    run = finished(outside, sent["run"])

    assert (run["jobs"]["done"], run["jobs"]["dead"]) == (2, 1)
    assert [(cause["cause"], cause["jobs"]) for cause in run["causes"]] == [("input", 1)]
    assert run["dollars"]["so_far_at_most"] >= 0
    (failure,) = ask(outside, "GET", f"/runs/{run['run']}/failures")[1]["failures"]
    assert (failure["outcome"], failure["group"]["Metadata_Well"]) == ("dead", MISSING)
    assert image in failure["sentence"]

    outside.put(image, objects[image])
    status, again = ask(outside, "POST", f"/runs/{run['run']}/redrive", {"jobs": [failure["job"]]})
    assert (status, again["jobs"]) == (200, 1)
    second = finished(outside, again["submissions"][0]["run"])

    assert (second["jobs"]["done"], second["jobs"]["dead"]) == (1, 0)
    for well in WELLS:
        result = f"{PROJECT}/output/P1/{well}/Image.csv"
        assert outside.read(result) == made_up_result(PROJECT, well)
        assert outside.versions(result) == {result: 1}
    assert outside.leftovers() == {}
