"""Uploads become events for the handler that Chalice registered; failures are tried again."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_plus

import pytest
from chalice.app import Chalice

from local.aws import EmbeddedAWS
from local.events import Dispatcher
from tests.local.tools import Recorder, until

Recorded = tuple[EmbeddedAWS, Recorder]
ARN = "arn:aws:lambda:us-east-1:123456789012:function:on-job-file"


@pytest.fixture
def put(recorded: Recorded) -> Iterator[Callable[[str, bytes], dict[str, Any]]]:
    """Put an object in the notified bucket."""
    aws, recorder = recorded
    s3 = aws.client("s3")
    rules = [{"Name": "prefix", "Value": "jobs/"}, {"Name": "suffix", "Value": ".json"}]
    s3.put_bucket_notification_configuration(
        Bucket=aws.bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {
                    "LambdaFunctionArn": ARN,
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": rules}},
                }
            ]
        },
    )
    recorder.events.clear()

    def put_object(key: str, body: bytes) -> dict[str, Any]:
        return dict(s3.put_object(Bucket=aws.bucket, Key=key, Body=body))

    yield put_object
    s3.close()


Put = Callable[[str, bytes], dict[str, Any]]


def test_an_upload_is_told_as_s3_tells_it(recorded: Recorded, put: Put) -> None:
    aws, recorder = recorded
    answer = put("jobs/App/a.json", b'{"groups": []}')

    ((arn, event),) = recorder.events
    (record,) = event["Records"]
    assert arn == ARN
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "us-east-1"
    assert record["s3"]["bucket"]["name"] == aws.bucket
    what = dict(record["s3"]["object"])
    int(what.pop("sequencer"), 16)
    assert what == {
        "key": "jobs/App/a.json",
        "size": 14,
        "eTag": answer["ETag"].strip('"'),
        "versionId": answer["VersionId"],
    }
    json.dumps(event)


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("jobs/My App/a b.json", "jobs/My+App/a+b.json"),
        ("jobs/a+b.json", "jobs/a%2Bb.json"),
        ("jobs/Zellfärbung.json", "jobs/Zellf%C3%A4rbung.json"),
        ("jobs/100%&=?.json", "jobs/100%25%26%3D%3F.json"),
    ],
)
def test_keys_are_encoded_as_s3_encodes_them(
    recorded: Recorded, put: Put, key: str, encoded: str
) -> None:
    put(key, b"{}")

    told = recorded[1].events[0][1]["Records"][0]["s3"]["object"]["key"]
    assert told == encoded
    assert unquote_plus(told) == key


@pytest.mark.parametrize("key", ["other/a.json", "jobs/a.txt", "refused/jobs/a.json"])
def test_other_uploads_are_not_told(recorded: Recorded, put: Put, key: str) -> None:
    put(key, b"{}")

    assert recorded[1].events == []


def test_the_same_key_twice_is_two_versions_in_order(recorded: Recorded, put: Put) -> None:
    put("jobs/a.json", b"1")
    put("jobs/a.json", b"2")

    first, second = (event["Records"][0]["s3"]["object"] for _, event in recorded[1].events)
    assert first["versionId"] != second["versionId"]
    assert first["sequencer"] < second["sequencer"]


@pytest.mark.usefixtures("put")
def test_an_upload_in_parts_is_one_event(recorded: Recorded) -> None:
    aws, recorder = recorded
    s3 = aws.client("s3")
    where = {"Bucket": aws.bucket, "Key": "jobs/large.json"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    bodies = [b"x" * 5 * 2**20, b"y"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    s3.close()

    ((_, event),) = recorder.events
    assert event["Records"][0]["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert event["Records"][0]["s3"]["object"]["size"] == sum(map(len, bodies))


# --- the dispatcher --------------------------------------------------------------------------


class Handlers:
    """An app with a job-file handler and a tick that do what a test wants."""

    def __init__(self, bucket: str = "deployment"):
        self.app = Chalice(app_name="cellfleet")
        self.app.log.propagate = False
        self.job_files: list[tuple[dict[str, Any], Any]] = []
        self.ticks: list[dict[str, Any]] = []
        self.on_job_file: Callable[[int], None] = lambda _count: None
        self.on_tick: Callable[[int], None] = lambda _count: None

        @self.app.on_s3_event(bucket=bucket, prefix="jobs/", suffix=".json")
        def on_job_file(event: Any) -> None:
            self.job_files.append((event.to_dict(), event.context))
            self.on_job_file(len(self.job_files))

        @self.app.schedule("rate(1 minute)")
        def tick(event: Any) -> None:
            self.ticks.append(event.to_dict())
            self.on_tick(len(self.ticks))


class NoS3:
    """Takes the bucket notification configuration, and knows the function."""

    def put_bucket_notification_configuration(self, **arguments: Any) -> None:
        (function,) = arguments["NotificationConfiguration"]["LambdaFunctionConfigurations"]
        self.arn = function["LambdaFunctionArn"]


EVENT = {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "jobs/a.json"}}}]}


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def dispatch(handlers: Handlers) -> Iterator[tuple[Dispatcher, str]]:
    """A running dispatcher and the ARN of the job-file handler."""
    s3 = NoS3()
    dispatcher = Dispatcher(
        region="us-east-1", seconds_per_tick=0.02, retry_seconds=(0.0, 0.0), concurrency=3
    )
    dispatcher.connect(handlers.app, s3)
    dispatcher.start()
    yield dispatcher, s3.arn
    dispatcher.stop(grace=5)


Dispatch = tuple[Dispatcher, str]


def test_a_handler_gets_event_and_context(handlers: Handlers, dispatch: Dispatch) -> None:
    dispatcher, arn = dispatch
    dispatcher.deliver(arn, EVENT)

    event, context = until(lambda: handlers.job_files)[0]
    assert event == EVENT
    assert context.function_name == "cellfleet-local-on_job_file"
    assert 0 < context.get_remaining_time_in_millis() <= 900_000


@pytest.mark.parametrize("failures", [1, 2])
def test_a_handler_that_fails_is_tried_again(
    handlers: Handlers, dispatch: Dispatch, failures: int
) -> None:
    def fail_at_first(count: int) -> None:
        if count <= failures:
            raise RuntimeError("not yet")

    handlers.on_job_file = fail_at_first
    dispatcher, arn = dispatch
    dispatcher.deliver(arn, EVENT)

    until(lambda: len(handlers.job_files) == failures + 1)
    assert all(event == EVENT for event, _ in handlers.job_files)
    assert len({context.aws_request_id for _, context in handlers.job_files}) == 1
    assert not dispatcher.failures


def test_after_the_third_failure_it_is_given_up_and_said(
    handlers: Handlers, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("never")

    handlers.on_job_file = fail
    dispatcher, arn = dispatch
    with caplog.at_level(logging.ERROR):
        dispatcher.deliver(arn, EVENT)
        failure = until(lambda: dispatcher.failures)[0]

    assert len(handlers.job_files) == 3
    assert json.loads(failure.event) == EVENT
    assert "never" in str(failure.error)
    assert "failed for good" in caplog.text


def test_events_are_handled_at_the_same_time(handlers: Handlers, dispatch: Dispatch) -> None:
    together = threading.Barrier(2, timeout=20)

    def meet(_: int) -> None:
        together.wait()

    handlers.on_job_file = meet
    dispatcher, arn = dispatch
    dispatcher.deliver(arn, EVENT)
    dispatcher.deliver(arn, EVENT)

    until(lambda: len(handlers.job_files) == 2)
    until(lambda: together.n_waiting == 0)
    assert not together.broken


def test_ticks_go_on_after_one_failed(handlers: Handlers, dispatch: Dispatch) -> None:
    def fail_once(count: int) -> None:
        if count == 1:
            raise RuntimeError("once")

    handlers.on_tick = fail_once

    until(lambda: len(handlers.ticks) >= 3)
    assert handlers.ticks[0]["detail-type"] == "Scheduled Event"
    assert dispatch[0].dead == []


def test_stopping_tells_running_handlers_that_their_time_is_up(
    handlers: Handlers, dispatch: Dispatch
) -> None:
    dispatcher, arn = dispatch
    seen: list[int] = []

    def run_until_told(_: int) -> None:
        context = handlers.job_files[0][1]
        until(lambda: context.get_remaining_time_in_millis() == 0)
        seen.append(0)

    handlers.on_job_file = run_until_told
    dispatcher.deliver(arn, EVENT)
    until(lambda: handlers.job_files)

    dispatcher.stop(grace=20)

    assert seen == [0]


def test_threads_that_ended_are_named(dispatch: Dispatch) -> None:
    dispatcher, _ = dispatch
    assert dispatcher.dead == []
    dispatcher.stop(grace=5)
    assert "tick-rule" in dispatcher.dead
