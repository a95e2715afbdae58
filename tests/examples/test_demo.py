"""The demo's verdict, on a bucket in which the run has already happened."""

import time
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from rich.console import Console

from chalicelib.contract import DEAD, DONE, LedgerEntry
from chalicelib.core import keys
from chalicelib.core.run import Phase, RunRecord
from examples import demo
from examples.following import jobs_by_group
from examples.sample import upload
from examples.sample.plate import PLATE, nuclei_in, wells
from examples.server import LocalServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "cellfleet-local"
RUN = "SamplePlate-20260102T030405abcd"


class RunningServer(LocalServer):
    """Stands for `run.py local`, at an endpoint that is there already."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._announced = {"endpoint": endpoint, "bucket": BUCKET}

    def wait_until_ready(self, seconds: float) -> None:
        """It is."""


@pytest.fixture
def s3(
    session: boto3.Session, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> "S3Client":
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "sample_objects", list)
    monkeypatch.setattr(demo, "_POLL_SECONDS", 0)
    client = session.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    record = RunRecord(
        run_id=RUN,
        app="SamplePlate",
        deployment=BUCKET,
        phase=Phase.FINISHED,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        config={},
        worker="cellfleet",
        image="worker",
    )
    client.put_object(Bucket=BUCKET, Key=keys.live(RUN))
    client.put_object(Bucket=BUCKET, Key=keys.run_record(RUN), Body=record.to_json())
    return client


def finish_wells(s3: "S3Client", counts: dict[str, int]) -> None:
    """Put the results of each well there, and its ledger entry; a job without a count is dead."""
    for group, job in jobs_by_group(upload.job_file()).items():
        well = group.rpartition("=")[2]
        outcome = DONE if well in counts else DEAD
        cause = "" if well in counts else "crash"
        entry = LedgerEntry(RUN, "20260102T0304", "5" * 16, job, 1, outcome, cause, 7)
        s3.put_object(Bucket=BUCKET, Key=entry.key(), Body=b'{"sentence": "It crashed"}')
        if well in counts:
            table = "AreaShape_Area\n" + "450\n" * counts[well]
            key = f"{upload.OUTPUT}/{PLATE}/{well}/Nuclei.csv"
            s3.put_object(Bucket=BUCKET, Key=key, Body=table.encode())


def run_demo(endpoint: str) -> tuple[int, str]:
    """The demo's exit code and what it printed."""
    console = Console(file=StringIO(), width=120)
    code = demo.Demo(console, RunningServer(endpoint), began=time.time()).run()
    assert isinstance(console.file, StringIO)
    return code, console.file.getvalue()


TRUTH = {well: nuclei_in(well) for well in wells()}


def test_right_counts_and_nothing_left(s3: "S3Client", endpoint: str, tmp_path: Path) -> None:
    finish_wells(s3, TRUTH)
    code, text = run_demo(endpoint)
    assert code == 0
    assert "nothing is left running" in text
    assert "6 of 6 jobs done" in text
    assert (tmp_path / "demo-output" / PLATE / "A01" / "Nuclei.csv").exists()
    assert (tmp_path / "demo-output" / "index.html").exists()
    job = s3.get_object(Bucket=BUCKET, Key="jobs/SamplePlate/sample.json")["Body"].read()
    assert BUCKET.encode() in job


def test_a_well_that_is_off_fails_the_demo(s3: "S3Client", endpoint: str) -> None:
    finish_wells(s3, {**TRUTH, "B02": 34})
    code, text = run_demo(endpoint)
    assert code == 1
    assert "well B02: 34 nuclei found, 39 rendered" in text


def test_a_job_given_up_fails_the_demo_and_says_why(s3: "S3Client", endpoint: str) -> None:
    finish_wells(s3, {well: count for well, count in TRUTH.items() if well != "A03"})
    code, text = run_demo(endpoint)
    assert code == 1
    assert "Metadata_Well=A03 was given up: It crashed" in text
    assert "well A03: no Nuclei.csv" in text


def test_results_of_an_earlier_demo_are_not_taken_for_new_ones(
    s3: "S3Client", endpoint: str
) -> None:
    finish_wells(s3, TRUTH)
    assert run_demo(endpoint)[0] == 0
    s3.delete_object(Bucket=BUCKET, Key=f"{upload.OUTPUT}/{PLATE}/A01/Nuclei.csv")
    assert run_demo(endpoint)[0] == 1


def test_what_is_left_fails_the_demo(s3: "S3Client", session: boto3.Session, endpoint: str) -> None:
    finish_wells(s3, TRUTH)
    sqs = session.client("sqs", endpoint_url=endpoint)
    sqs.create_queue(QueueName="SamplePlate_DeadMessages")
    assert run_demo(endpoint)[0] == 0
    sqs.create_queue(QueueName="SamplePlateQueue")
    code, text = run_demo(endpoint)
    assert code == 1
    assert "queues left: SamplePlateQueue" in text


def test_without_cellprofiler_it_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("CELLFLEET_CELLPROFILER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.main() == 1
    assert "make demo" in capsys.readouterr().out
