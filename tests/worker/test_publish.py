"""However publishers crash, race and overtake, one coherent set of outputs comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from worker.commit import STALE_SECONDS, CommitFile
from worker.failures import Cancelled, JobFailure
from worker.publish import AlreadyPublished, Busy, Destination, Publication

FOLDER = "output/A01"
COMMIT = "runs/r/commits/s/j"


class Crash(BaseException):
    """The process is gone: nothing after it is run."""


class Fragile:
    """An S3 client in whose hands the process dies at the nth call, before or after it."""

    def __init__(self, s3: Any, call: int, after: bool):
        self.s3, self.left, self.after = s3, call, after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.s3, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Crash
            try:
                return method(*args, **kwargs)
            finally:
                if self.left == 0:
                    raise Crash

        return call


class Aged:
    """An S3 client that takes every commit for so many seconds older."""

    def __init__(self, s3: Any, seconds: float):
        self.s3, self.seconds = s3, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def get_object(self, **kwargs: Any) -> Any:
        answer = self.s3.get_object(**kwargs)
        answer["LastModified"] -= timedelta(seconds=self.seconds)
        return answer


class Results:
    """A folder with the outputs of one attempt, every file naming it."""

    def __init__(self, folder: Path, attempt: str, names: tuple[str, ...]):
        self.folder = folder / attempt
        self.attempt = attempt
        self.names = names
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} of {attempt}")

    def published(self) -> dict[str, str]:
        return {name: f"{name} of {self.attempt}" for name in self.names}


def publisher(
    s3: Any, bucket: str, attempt: str, clock: Callable[[], float] = time.monotonic
) -> Publication:
    return Publication(
        CommitFile(s3, bucket, COMMIT, sleep=lambda _: None),
        Destination(s3, bucket, FOLDER, {}),
        attempt,
        clock,
    )


def publish(publication: Publication, results: Results) -> None:
    publication.publish(results.folder, [Path(name) for name in results.names], lambda: None)


def found(s3: Any, bucket: str) -> dict[str, str]:
    items = s3.list_objects_v2(Bucket=bucket, Prefix=FOLDER).get("Contents", [])
    return {
        item["Key"][len(FOLDER) + 1 :]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]
        .read()
        .decode()
        for item in items
    }


def state(s3: Any, bucket: str) -> str:
    commit = CommitFile(s3, bucket, COMMIT).read()
    return commit.state if commit else ""


def test_a_set_is_published(s3: Any, bucket: str, tmp_path: Path) -> None:
    results = Results(tmp_path, "one", ("Image.csv", "sub/Nuclei.csv"))
    publish(publisher(s3, bucket, "one"), results)
    assert found(s3, bucket) == results.published()
    commit = CommitFile(s3, bucket, COMMIT).read()
    assert commit is not None
    assert commit.published
    assert commit.names == set(results.names)
    kind = s3.head_object(Bucket=bucket, Key=f"{FOLDER}/Image.csv")["ContentType"]
    assert kind == "text/csv"


# Read, claim, two uploads, seal: five calls. One more is beyond the end.
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 7))
def test_a_crash_anywhere_leaves_one_coherent_set(
    call: int, after: bool, s3: Any, bucket: str, tmp_path: Path
) -> None:
    first = Results(tmp_path, "first", ("Image.csv", "only-in-first.csv"))
    second = Results(tmp_path, "second", ("Image.csv", "only-in-second.csv"))
    crashed = True
    try:
        publish(publisher(Fragile(s3, call, after), bucket, "first"), first)
        crashed = False
    except Crash:
        pass
    assert crashed == (call <= 5)

    try:
        publish(publisher(Aged(s3, STALE_SECONDS + 1), bucket, "second"), second)
    except AlreadyPublished:
        # The first got as far as sealing.
        assert not crashed or (call, after) == (5, True)
        assert found(s3, bucket) == first.published()
    else:
        assert found(s3, bucket) == second.published()
    assert state(s3, bucket) == "published"


@pytest.mark.parametrize("call", range(1, 8))
def test_two_crashes_in_a_row_leave_one_coherent_set(
    call: int, s3: Any, bucket: str, tmp_path: Path
) -> None:
    first = Results(tmp_path, "first", ("a.csv", "b.csv"))
    second = Results(tmp_path, "second", ("b.csv", "c.csv"))
    third = Results(tmp_path, "third", ("c.csv", "d.csv"))
    with pytest.raises(Crash):
        publish(publisher(Fragile(s3, 5, after=False), bucket, "first"), first)
    old = Aged(s3, STALE_SECONDS + 1)
    crashed = True
    try:
        publish(publisher(Fragile(old, call, after=False), bucket, "second"), second)
        crashed = False
    except Crash:
        pass
    assert crashed == (call <= 6)
    if crashed:
        publish(publisher(old, bucket, "third"), third)
    assert found(s3, bucket) == (third if crashed else second).published()


def test_a_fresh_publication_is_left_alone(s3: Any, bucket: str, tmp_path: Path) -> None:
    first = Results(tmp_path, "first", ("Image.csv",))
    with pytest.raises(Crash):
        publish(publisher(Fragile(s3, 3, after=True), bucket, "first"), first)
    with pytest.raises(Busy):
        publish(publisher(s3, bucket, "second"), Results(tmp_path, "second", ("Image.csv",)))
    assert found(s3, bucket) == first.published()


def test_a_publication_that_was_given_up_is_taken_over_at_once(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    first = Results(tmp_path, "first", ("Image.csv", "vanished.csv"))
    publication = publisher(s3, bucket, "first")

    def interrupted() -> None:
        if found(s3, bucket):
            raise Cancelled("interrupted")

    with pytest.raises(Cancelled):
        publication.publish(first.folder, [Path(name) for name in first.names], interrupted)
    assert list(found(s3, bucket)) == ["Image.csv"]
    second = Results(tmp_path, "second", ("Nuclei.csv",))
    publish(publisher(s3, bucket, "second"), second)
    assert found(s3, bucket) == second.published()


def test_who_was_overtaken_touches_nothing_more(s3: Any, bucket: str, tmp_path: Path) -> None:
    first = Results(tmp_path, "first", ("a.csv", "b.csv"))
    second = Results(tmp_path, "second", ("a.csv", "b.csv"))
    time_passed = [0.0]
    slow = publisher(s3, bucket, "first", clock=lambda: time_passed[0])

    def overtaken_after_the_first_file() -> None:
        if found(s3, bucket) == {"a.csv": "a.csv of first"}:
            time_passed[0] = STALE_SECONDS + 1
            publish(publisher(Aged(s3, STALE_SECONDS + 1), bucket, "second"), second)

    with pytest.raises(Cancelled, match="lease lost"):
        slow.publish(first.folder, [Path("a.csv"), Path("b.csv")], overtaken_after_the_first_file)
    assert found(s3, bucket) == second.published()
    assert state(s3, bucket) == "published"


def test_an_answer_that_was_lost_is_recognised(s3: Any, bucket: str, tmp_path: Path) -> None:
    class Forgetful:
        """Puts commits twice, as a retry does whose first answer was lost."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def put_object(self, **kwargs: Any) -> Any:
            s3.put_object(**kwargs)
            return s3.put_object(**kwargs)

    results = Results(tmp_path, "one", ("Image.csv",))
    publish(publisher(Forgetful(), bucket, "one"), results)
    assert state(s3, bucket) == "published"
    assert found(s3, bucket) == results.published()


def test_of_two_at_once_one_publishes(s3: Any, bucket: str, tmp_path: Path) -> None:
    attempts = [Results(tmp_path, name, ("a.csv", f"only-{name}.csv")) for name in ("one", "two")]
    barrier = threading.Barrier(2)
    outcomes: dict[str, str] = {}

    def race(results: Results) -> None:
        barrier.wait()
        try:
            publish(publisher(s3, bucket, results.attempt), results)
            outcomes[results.attempt] = "published"
        except (Busy, AlreadyPublished) as error:
            outcomes[results.attempt] = type(error).__name__

    threads = [threading.Thread(target=race, args=(results,)) for results in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [results for results in attempts if outcomes[results.attempt] == "published"]
    assert len(winners) == 1, outcomes
    assert found(s3, bucket) == winners[0].published()


def test_refreshing_keeps_a_long_publication_alive(s3: Any, bucket: str, tmp_path: Path) -> None:
    results = Results(tmp_path, "one", ("a.csv", "b.csv"))
    passed = [0.0]
    publication = publisher(s3, bucket, "one", clock=lambda: passed[0])
    versions = []

    def slowly() -> None:
        passed[0] += STALE_SECONDS / 3
        commit = CommitFile(s3, bucket, COMMIT).read()
        versions.append(s3.head_object(Bucket=bucket, Key=COMMIT)["LastModified"])
        assert commit is not None
        assert commit.attempt == "one"

    publication.publish(results.folder, [Path("a.csv"), Path("b.csv")], slowly)
    assert len(versions) == 2
    assert found(s3, bucket) == results.published()


def test_a_refused_upload_tells_the_cause(s3: Any, tmp_path: Path) -> None:
    results = Results(tmp_path, "one", ("a.csv",))
    destination = Destination(s3, "no-such-bucket-here", FOLDER, {})
    with pytest.raises(JobFailure, match=r"a\.csv") as caught:
        destination.upload(results.folder, "a.csv")
    assert caught.value.cause == "upload"
