from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.contract import LedgerEntry
from chalicelib.core import keys
from chalicelib.core.run import Phase, RunRecord
from examples.demo import DemoError, first_cellprofiler, raise_if_refused
from examples.following import Snapshot, counting, look

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "deployment"
RUN = "SamplePlate-20260102T030405abcd"
JOB, OTHER = "0" * 20, "1" * 20


@pytest.fixture
def s3(session: boto3.Session, endpoint: str) -> "S3Client":
    client = session.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    return client


def entry(outcome: str, job: str = JOB, attempt: int = 1) -> LedgerEntry:
    return LedgerEntry(
        run=RUN,
        minute="20260102T0304",
        submission="s" * 16,
        job=job,
        attempt=attempt,
        outcome=outcome,
        cause="" if outcome in ("done", "skipped") else "crash",
        seconds=9,
    )


def save_record(s3: "S3Client", phase: Phase) -> None:
    record = RunRecord(
        run_id=RUN,
        app="SamplePlate",
        deployment=BUCKET,
        phase=phase,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        config={},
        worker="cellfleet",
        image="worker",
        notes=("one machine",),
    )
    s3.put_object(Bucket=BUCKET, Key=keys.run_record(RUN), Body=record.to_json())


def test_no_run_yet(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key=keys.live("SamplePlate-2-20260102T030405abcd"))
    assert look(s3, BUCKET, "SamplePlate") == Snapshot()


def test_a_run_without_its_record_is_not_there_yet(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key=keys.live(RUN))
    assert look(s3, BUCKET, "SamplePlate") == Snapshot()


def test_a_live_run_is_found_by_its_app_and_read(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key=keys.live(RUN))
    save_record(s3, Phase.OPEN)
    for one in (entry("failed"), entry("done", attempt=2), entry("dead", job=OTHER)):
        s3.put_object(Bucket=BUCKET, Key=one.key())

    seen = look(s3, BUCKET, "SamplePlate")

    assert (seen.run_id, seen.phase, seen.done, seen.dead) == (RUN, "open", 1, 1)
    assert seen.notes == ("one machine",)
    assert not seen.finished
    assert "1 of 6 jobs done, 1 given up" in seen.describe(6)


def test_a_finished_run_is_read_though_it_is_no_longer_live(s3: "S3Client") -> None:
    save_record(s3, Phase.FINISHED)
    assert look(s3, BUCKET, "SamplePlate", RUN).finished


@pytest.mark.parametrize(
    ("outcomes", "counts"),
    [
        (("failed", "dead"), "dead"),
        (("dead", "failed"), "dead"),
        (("dead", "done"), "done"),
        (("done", "dead"), "done"),
        (("failed", "skipped"), "skipped"),
    ],
)
def test_the_outcome_that_counts(outcomes: tuple[str, ...], counts: str) -> None:
    entries = [entry(outcome, attempt=n) for n, outcome in enumerate(outcomes)]
    assert counting(iter(entries))[JOB].outcome == counts


def test_a_refusal_of_this_app_is_raised_with_its_reasons(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key=keys.refusal("Other", "x"), Body=b"{}")
    raise_if_refused(s3, BUCKET, "SamplePlate")
    reasons = b'{"problems": ["group 3: empty"]}'
    s3.put_object(Bucket=BUCKET, Key=keys.refusal("SamplePlate", "sample"), Body=reasons)
    with pytest.raises(DemoError, match="group 3: empty"):
        raise_if_refused(s3, BUCKET, "SamplePlate")


def test_the_first_cellprofiler_is_found_in_the_log(session: boto3.Session, endpoint: str) -> None:
    logs = session.client("logs", endpoint_url=endpoint)
    now = int(datetime.now(UTC).timestamp())
    assert first_cellprofiler(session, endpoint, "SamplePlate") is None
    logs.create_log_group(logGroupName="SamplePlate")
    for stream, lines in {"a": ["hello", "cellprofiler -c -r"], "b": ["cellprofiler -c"]}.items():
        logs.create_log_stream(logGroupName="SamplePlate", logStreamName=stream)
        events = [{"timestamp": (now + n) * 1000, "message": line} for n, line in enumerate(lines)]
        logs.put_log_events(
            logGroupName="SamplePlate",
            logStreamName=stream,
            logEvents=events,  # type: ignore[arg-type]
        )
    assert first_cellprofiler(session, endpoint, "SamplePlate") == now
