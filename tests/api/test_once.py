"""An idempotency key makes a request happen once, whatever becomes of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.aws.services import utc_now
from chalicelib.core.api.request import Answer
from chalicelib.errors import NotReadyError
from chalicelib.operations import submissions
from chalicelib.operations.once import AT_WORK, KEPT, once
from tests.api.conftest import Api
from tests.aws.samples import config_keys, job_file


def jobs(api: Api, key: str | None, wells: int = 3) -> Any:
    return api.call("POST", "/apps/App/jobs?start=false", job_file(wells), key=key)


def test_the_same_request_gets_the_same_answer_and_is_done_once(api: Api) -> None:
    api.set_up()
    first, second = jobs(api, "one"), jobs(api, "one")
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(api.messages()) == 3


def test_another_key_or_none_does_it_again(api: Api) -> None:
    api.set_up()
    names = {jobs(api, key).body["submission"] for key in ("one", "two", None, None)}
    assert len(names) == 4


def test_the_key_with_another_request_is_refused(api: Api) -> None:
    api.set_up()
    jobs(api, "one")
    other = jobs(api, "one", wells=4)
    assert (other.status, other.body["error"]) == (422, "key-used")
    assert api.call("POST", "/apps/App/monitor", {}, key="one").status == 422
    assert len(api.messages()) == 3


def test_apps_dont_share_keys(api: Api) -> None:
    api.set_up()
    api.set_up("Other")
    jobs(api, "one")
    reply = api.call("POST", "/apps/Other/jobs?start=false", job_file(2), key="one")
    assert (reply.status, reply.body["app"]) == (201, "Other")


def test_what_was_refused_may_be_tried_again(api: Api) -> None:
    body = {"config": config_keys()}
    api.client("sqs").create_queue(QueueName="AppQueue")
    assert api.call("POST", "/apps/App/setup", body, key="one").status == 409
    assert not [key for key in api.objects() if key.startswith("answers/")]
    url = api.client("sqs").get_queue_url(QueueName="AppQueue")["QueueUrl"]
    api.client("sqs").delete_queue(QueueUrl=url)
    assert api.call("POST", "/apps/App/setup", body, key="one").status == 200


def test_requests_at_once_are_done_once(api: Api) -> None:
    api.set_up()
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: jobs(api, "one"), range(4)))
    assert {reply.status for reply in replies} <= {201, 409}
    assert len({reply.body["submission"] for reply in replies if reply.status == 201}) == 1
    assert len(api.messages()) == 3


def test_while_it_is_at_work_the_other_waits(api: Api) -> None:
    services = api.services()

    def again() -> Any:
        return once(services, "App", "one", "f", lambda: Answer(status=200, body={}))

    def act() -> Any:
        with pytest.raises(NotReadyError, match="still at work"):
            again()
        return Answer(status=200, body={"n": 1})

    assert once(services, "App", "one", "f", act).body == {"n": 1}
    assert again().body == {"n": 1}


def test_a_process_that_died_leaves_the_key_to_the_next(api: Api) -> None:
    services = api.services()

    def die() -> Answer:
        raise KeyboardInterrupt

    def act() -> Answer:
        return Answer(status=200, body={"n": 2})

    with pytest.raises(KeyboardInterrupt):
        once(services, "App", "one", "f", die)
    with pytest.raises(NotReadyError):
        once(services, "App", "one", "f", act)
    later = replace(services, now=lambda: utc_now() + AT_WORK)
    assert once(later, "App", "one", "f", act).body == {"n": 2}


def test_a_key_is_forgotten_after_a_day(api: Api) -> None:
    services, tomorrow = api.services(), replace(api.services(), now=lambda: utc_now() + KEPT)
    answers = [
        once(who, "App", "one", "f", lambda n=n: Answer(status=200, body={"n": n}))  # type: ignore[misc]
        for n, who in enumerate([services, services, tomorrow])
    ]
    assert [answer.body["n"] for answer in answers] == [0, 0, 2]


def test_a_submission_that_died_is_gone_on_with(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name comes of key and request, so that it is the same one."""
    api.set_up()

    def die(*_: Any) -> Any:
        raise KeyboardInterrupt

    def send() -> Any:
        return submissions.take(
            api.services(), "App", json.dumps(job_file(3)).encode(), name="job", start=False,
            token="0123",
        )  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(submissions, "submit", die)
        with pytest.raises(KeyboardInterrupt):
            send()
    assert send().state == "closed"
    assert len({send().submission, send().submission}) == 1
    assert len(api.messages()) == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "ä".encode().decode("latin-1")])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    api.set_up()
    assert jobs(api, key).status == 400
