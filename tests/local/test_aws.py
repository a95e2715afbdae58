"""The embedded AWS by itself: what it starts with, and where it is better than moto."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import EmbeddedAWS


@pytest.fixture
def s3(aws: EmbeddedAWS) -> Iterator[Any]:
    client = aws.client("s3")
    yield client
    client.close()


@pytest.fixture
def sqs(aws: EmbeddedAWS) -> Iterator[Any]:
    client = aws.client("sqs")
    yield client
    client.close()


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_it_has_a_versioned_bucket_and_a_network(aws: EmbeddedAWS, s3: Any) -> None:
    assert s3.get_bucket_versioning(Bucket=aws.bucket)["Status"] == "Enabled"
    assert aws.env["CELLFLEET_BUCKET"] == aws.bucket
    assert all(name.startswith("subnet-") for name in aws.env["CELLFLEET_SUBNETS"].split(","))
    assert aws.env["CELLFLEET_SECURITY_GROUPS"].startswith("sg-")


# --- S3 --------------------------------------------------------------------------------------


def test_of_many_conditional_creations_one_succeeds(aws: EmbeddedAWS, s3: Any) -> None:
    def create(key: str, writer: int) -> bool:
        try:
            s3.put_object(Bucket=aws.bucket, Key=key, Body=b"%d" % writer, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            key = f"claims/{round_}"
            assert sum(pool.map(create, [key] * 8, range(8))) == 1


# --- SQS -------------------------------------------------------------------------------------


def test_no_message_is_lost_or_given_twice_among_many_callers(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="busy", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    count = 150

    def send(number: int) -> None:
        sqs.send_message(QueueUrl=url, MessageBody=str(number))

    def work(_: int) -> list[str]:
        bodies: list[str] = []
        while True:
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3, WaitTimeSeconds=1)
            if "Messages" not in got:
                return bodies
            for message in got["Messages"]:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    with ThreadPoolExecutor(9) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        list(pool.map(send, range(count)))
        bodies = [body for worker in workers for body in worker.result()]

    assert sorted(bodies, key=int) == [str(number) for number in range(count)]


def test_redrive_and_counts_still_work(sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    policy = json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName="live", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message_batch(
        QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)]
    )
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=600)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert [counts[name] for name in names] == ["2", "1"]

    for _ in range(3):  # the second look at a message is one too many
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    counts = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"]
    assert counts[names[0]] == "2"


def test_a_long_poll_on_a_deleted_queue_says_so(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="short-lived")["QueueUrl"]
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        sqs.delete_queue(QueueUrl=url)
        with pytest.raises(ClientError) as error:
            poll.result()
    assert "QueueDoesNotExist" in code(error) or "NonExistentQueue" in code(error)
