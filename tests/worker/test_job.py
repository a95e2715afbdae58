"""One job from lease to ledger, with a stand-in for CellProfiler."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib import contract
from tests.worker.test_publish import Aged, Crash, Fragile
from tests.worker.world import CSV, PIPELINE, RUN, SUBMISSION, World, load_data_csv
from worker.commit import STALE_SECONDS, CommitFile
from worker.donecheck import is_done
from worker.environment import Environment
from worker.inputs import Inputs
from worker.job import PUBLISH_GRACE, work
from worker.prepare import Folder, Prepared, prepare
from worker.queue import Queue, QueueGone, Stop


def prepared(
    world: World, environment: Environment, message: contract.JobMessage, folder: Folder
) -> Prepared:
    """The job as it would be run."""
    with world.tools().data_files.held() as data_files:
        return prepare(world.s3, data_files, environment, message, folder)


def commit_of(world: World, well: str = "A01") -> str:
    return contract.commit_key(RUN, SUBMISSION, world.message(well).job)


def test_a_good_job(world: World) -> None:
    lease = world.lease(world.message("A01"))
    work(world.tools(), lease)

    outputs = world.outputs("A01")
    assert sorted(outputs) == ["Image.csv", "sub/Nuclei.csv"]
    assert outputs["Image.csv"].count("A01 s") == 2
    ((entry, body),) = world.ledger()
    assert (entry.outcome, entry.cause, entry.attempt) == ("done", "", 1)
    assert (entry.submission, entry.job) == (SUBMISSION, world.message("A01").job)
    assert body["folder"] == "project/output/A01"
    assert body["group"] == {"Metadata_Well": "A01"}
    assert body["files"] == ["Image.csv", "sub/Nuclei.csv"]
    assert world.queued() == (0, 0)
    assert world.leftovers() == []
    assert json.loads(world.text(commit_of(world)))["state"] == "published"


def test_its_log_is_where_dcp_s_users_look(world: World) -> None:
    work(world.tools(), world.lease(world.message("A01")))
    events = world.logs.get_log_events(logGroupName=world.log_group, logStreamName="A01")
    lines = [event["message"] for event in events["events"]]
    assert "fake CellProfiler at work on A01" in lines
    (command,) = [line for line in lines if "cellprofiler -c" in line]
    assert "-g Metadata_Well=A01" in command


def test_a_message_of_dcp_runs_every_time(world: World) -> None:
    body = json.dumps(
        {
            "Metadata": "Metadata_Well=A02",
            "pipeline": PIPELINE,
            "data_file": CSV,
            "input": "project",
            "output": "project/output",
            "output_structure": "",
        }
    )
    for _ in range(2):
        work(world.tools(), world.lease(body))
    assert sorted(world.outputs("A02")) == ["Image.csv", "sub/Nuclei.csv"]
    assert world.runs() == ["A02", "A02"]
    assert {entry.submission for entry, _ in world.ledger()} == {"dcp"}
    assert world.keys(f"runs/{RUN}/commits/") == []


def test_under_dcp_s_control_plane_nothing_but_results_is_written(world: World) -> None:
    plain = {"run": "", "state_bucket": "", "dead_letter_url": "", "job_retries": 0}
    work(world.tools(**plain), world.lease(world.message("A01", run="", submission="")))
    assert sorted(world.outputs("A01")) == ["Image.csv", "sub/Nuclei.csv"]
    assert world.keys("runs/") == []
    work(world.tools(**plain), world.lease(world.message("Z99", run="", submission="")))
    assert world.queued() == (0, 1)
    assert world.dead() == []


# --- failures --------------------------------------------------------------------------------


def truncate_image(world: World) -> None:
    whole = (world.folder / "image.tif").read_bytes()
    world.put("project/images/A01 s2.tif", whole[: len(whole) // 2])


def remove_image(world: World) -> None:
    world.s3.delete_object(Bucket=world.bucket, Key="project/images/A01 s2.tif")


def create_batch_files(world: World) -> None:
    text = world.text(PIPELINE).replace("ModuleCount:3", "ModuleCount:4")
    world.put(PIPELINE, f"{text}\nCreateBatchFiles:[module_num:4|enabled:True|]\n".encode())


def other_grouping(world: World) -> None:
    world.put(PIPELINE, world.text(PIPELINE).replace("grouping:Well", "grouping:Site").encode())


@pytest.mark.parametrize(
    ("spoil", "changes", "cause", "says"),
    [
        (truncate_image, {}, "input", "row 2, channel DNA"),
        (remove_image, {}, "input", "A01 s2.tif: there is no s3://"),
        (create_batch_files, {}, "pipeline", "CreateBatchFiles enabled"),
        (other_grouping, {}, "pipeline", "groups by Metadata_Site"),
        (None, {"group": (("Metadata_Well", "B07"),)}, "input", "values are A01, A02, B01"),
        (None, {"data_file": "project/none.csv"}, "input", "The data file: there is no s3://"),
        (None, {"pipeline": "none.cppipe"}, "input", "The pipeline: there is no s3://"),
        (None, {"data_file": "project/table.xlsx"}, "input", "expected a LoadData .csv"),
        (None, {"plugins": True}, "plugin", "no folder"),
    ],
)
def test_what_trying_again_can_t_mend_is_buried_at_once(
    spoil: Callable[[World], None] | None,
    changes: dict[str, Any],
    cause: str,
    says: str,
    world: World,
) -> None:
    if spoil:
        spoil(world)
    changes = dict(changes)
    plugins = changes.pop("plugins", False)
    message = world.message("A01", **changes)
    work(world.tools(use_plugins=plugins), world.lease(message))
    assert world.outcomes() == [("dead", cause)]
    assert says in world.sentence()
    assert world.dead() == [message.encode()]
    assert world.queued() == (0, 0)
    assert world.runs() == []
    assert world.leftovers() == []
    assert world.outputs("A01") == {}


def test_a_job_whose_tries_are_used_up_isn_t_begun_again(world: World) -> None:
    """SQS counts a message that was passed on anew, and would let it kill more workers."""
    message = replace(world.message("A01"), failures=world.tools().environment.job_retries)
    work(world.tools(), world.lease(message))
    assert world.outcomes() == [("dead", "lost")]
    assert "tries (JOB_RETRIES) are used up" in world.sentence()
    assert world.dead() == [message.encode()]
    assert world.runs() == []


@pytest.mark.parametrize(
    ("mode", "outcome", "cause"),
    [
        ("module error", "failed", "crash"),
        ("killed", "failed", "memory"),
        ("blank", "failed", "crash"),
        ("half loaded", "dead", "plugin"),
        ("nothing written", "dead", "pipeline"),
    ],
)
def test_a_run_that_went_wrong_publishes_nothing(
    mode: str, outcome: str, cause: str, world: World
) -> None:
    world.behave({"A01": mode})
    work(world.tools(), world.lease(world.message("A01")))
    assert world.outcomes() == [(outcome, cause)]
    assert world.outputs("A01") == {}
    assert world.queued() == ((0, 1) if outcome == "failed" else (0, 0))
    assert len(world.dead()) == (outcome == "dead")
    assert world.leftovers() == []


def test_the_last_attempt_ends_in_the_dead_letters(world: World) -> None:
    world.behave({"A01": "module error"})
    world.send(world.message("A01"))
    for attempt in (1, 2, 3):
        lease = world.lease()
        work(world.tools(), lease)
        if attempt < 3:
            world.queue().extend(lease, 0)
    assert world.outcomes() == [("dead", "crash"), ("failed", "crash"), ("failed", "crash")]
    assert sorted(entry.attempt for entry, _ in world.ledger()) == [1, 2, 3]
    assert len(world.dead()) == 1
    assert world.queued() == (0, 0)


def test_failures_of_earlier_copies_count(world: World) -> None:
    world.behave({"A01": "module error"})
    work(world.tools(), world.lease(world.message("A01", failures=2)))
    assert world.outcomes() == [("dead", "crash")]


class Deaf:
    """An SQS client that fails at calls to the dead-letter queue, before or after them."""

    def __init__(self, world: World, error: BaseException, after: bool = False):
        self.world, self.error, self.after = world, error, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.sqs, name)

    def send_message(self, **kwargs: Any) -> Any:
        if kwargs["QueueUrl"] != self.world.dead_letter_url:
            return self.world.sqs.send_message(**kwargs)
        if self.after:
            self.world.sqs.send_message(**kwargs)
        raise self.error

    def queue(self) -> Queue:
        return Queue(self, self.world.queue_url, self.world.dead_letter_url, poll_seconds=0)  # type: ignore[arg-type]


class Unrecorded:
    """An S3 client that fails to write the ledger, that many times."""

    def __init__(self, s3: Any, times: int = 1):
        self.s3, self.left = s3, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def put_object(self, **kwargs: Any) -> Any:
        if self.left and kwargs["Key"].startswith(contract.ledger_prefix(RUN)):
            self.left -= 1
            raise OSError("no network")
        return self.s3.put_object(**kwargs)


def test_without_the_dead_letter_queue_the_ledger_tells_of_the_dead(world: World) -> None:
    remove_image(world)
    world.sqs.delete_queue(QueueUrl=world.dead_letter_url)
    work(world.tools(), world.lease(world.message("A01")))
    assert world.outcomes() == [("dead", "input")]
    assert "The dead-letter queue is gone" in world.sentence()
    assert world.queued() == (0, 0)


def test_a_job_that_can_t_be_moved_to_the_dead_letters_isn_t_dead(world: World) -> None:
    remove_image(world)
    refusing = Deaf(world, OSError("no network"))
    work(world.tools(queue=refusing.queue()), world.lease(world.message("A01")))
    assert world.outcomes() == [("failed", "input")]
    assert world.queued() == (0, 1)
    assert world.dead() == []


def test_a_job_that_isn_t_on_record_stays_in_the_queue(world: World) -> None:
    remove_image(world)
    unrecorded = Unrecorded(world.s3)
    work(world.tools(s3=unrecorded), world.lease(world.message("A01")))
    assert world.ledger() == []
    assert world.queued() == (0, 1)


def test_a_worker_that_dies_while_burying_a_job_leaves_it_to_another(world: World) -> None:
    remove_image(world)
    dying = Deaf(world, Crash(), after=True)
    lease = world.lease(world.message("A01"))
    with pytest.raises(Crash):
        work(world.tools(queue=dying.queue()), lease)
    assert world.ledger() == []
    world.queue().extend(lease, 0)
    work(world.tools(), world.lease())
    assert world.outcomes() == [("dead", "input")]
    assert world.queued() == (0, 0)


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


# --- once is enough --------------------------------------------------------------------------


def test_a_job_that_is_published_is_not_run_again(world: World) -> None:
    work(world.tools(), world.lease(world.message("A01")))
    before = world.outputs("A01")
    work(world.tools(), world.lease(world.message("A01")))
    assert world.runs() == ["A01"]
    assert world.outputs("A01") == before
    assert set(world.outcomes()) == {("done", "")}
    assert world.queued() == (0, 0)


class Overtaking:
    """An S3 client under whose eyes another worker publishes the job, right after the first
    look at its commit."""

    def __init__(self, s3: Any, commit: CommitFile):
        self.s3, self.commit, self.looked = s3, commit, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def get_object(self, **kwargs: Any) -> Any:
        if self.looked or kwargs["Key"] != self.commit.key:
            return self.s3.get_object(**kwargs)
        self.looked = True
        try:
            return self.s3.get_object(**kwargs)
        finally:
            self.commit.write("", "published", "another", [])


@pytest.mark.parametrize("when", ["before", "meanwhile", "by us", "skipped"])
def test_a_job_that_is_over_never_fails_for_want_of_a_record(when: str, world: World) -> None:
    """On its last attempt, the results there; the ledger can be written again right after."""
    s3 = world.s3
    commit = CommitFile(s3, world.bucket, commit_of(world))
    if when == "before":
        commit.write("", "published", "another", [])
    elif when == "meanwhile":
        s3 = Overtaking(s3, commit)
    elif when == "skipped":
        world.put("project/output/A01/Image.csv", b"x")
    unrecorded = Unrecorded(s3)
    tools = world.tools(s3=unrecorded, check_if_done=when == "skipped")
    lease = world.lease(world.message("A01", failures=2))
    work(tools, lease)
    assert unrecorded.left == 0
    assert world.ledger() == []
    assert world.dead() == []
    assert world.queued() == (0, 1)

    world.queue().extend(lease, 0)
    work(tools, world.lease())
    assert world.outcomes() == [("skipped" if when == "skipped" else "done", "")]
    assert world.queued() == (0, 0)


def test_another_submission_runs_again(world: World) -> None:
    work(world.tools(), world.lease(world.message("A01")))
    before = world.outputs("A01")
    work(world.tools(), world.lease(world.message("A01", submission="0" * 16)))
    assert world.runs() == ["A01", "A01"]
    assert world.outputs("A01") != before


def test_a_job_that_another_is_publishing_is_put_off_without_running(world: World) -> None:
    commit = CommitFile(world.s3, world.bucket, commit_of(world))
    commit.write("", "publishing", "somebody", [])
    work(world.tools(), world.lease(world.message("A01", failures=1)))
    assert world.runs() == []
    assert world.ledger() == []
    # The copy is delayed: hidden, but received by nobody.
    assert world.queued() == (0, 1)


def test_check_if_done_skips_what_is_there(world: World) -> None:
    tools = world.tools(check_if_done=True, expected_files=2)
    world.put("project/output/A01/Image.csv", b"x")
    world.put("project/output/A010/Image.csv", b"another job's")
    work(tools, world.lease(world.message("A01")))
    assert world.runs() == ["A01"]
    work(tools, world.lease(world.message("A01", submission="0" * 16)))
    assert world.runs() == ["A01"]
    assert world.outcomes() == [("done", ""), ("skipped", "")]
    assert world.queued() == (0, 0)


@pytest.mark.parametrize(
    ("expected", "size", "string", "skipped"),
    [
        (1001, 1, "", True),
        (1002, 1, "", False),
        (1001, 4, "", True),
        (1001, 5, "", False),
        (1000, 1, "file-", True),
        (1001, 1, "file-", False),
    ],
)
def test_check_if_done_counts_all_pages_sizes_and_keys(
    expected: int, size: int, string: str, skipped: bool, world: World
) -> None:
    class Listing:
        """1,001 files of 4 bytes, 1,000 a page, as S3 lists them."""

        def get_paginator(self, _: str) -> Listing:
            return self

        def paginate(self, **where: str) -> list[dict[str, Any]]:
            names = [f"{where['Prefix']}file-{number}.csv" for number in range(1000)]
            page = [{"Key": name, "Size": 4} for name in names]
            last = {"Key": f"{where['Prefix']}last.csv", "Size": 4}
            return [{"Contents": page}, {"Contents": [last]}, {}]

    environment = world.environment(
        expected_files=expected, min_file_bytes=size, necessary_string=string
    )
    assert is_done(Listing(), environment, "out") == skipped  # type: ignore[arg-type]


def test_half_published_files_don_t_count_as_done(world: World) -> None:
    class DyingUpload:
        """The worker dies after the upload of its first file."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.s3, name)

        def upload_file(self, *args: Any, **kwargs: Any) -> None:
            world.s3.upload_file(*args, **kwargs)
            raise Crash

    message = world.message("A01")
    with pytest.raises(Crash):
        work(world.tools(s3=DyingUpload()), world.lease(message))
    assert list(world.outputs("A01")) == ["Image.csv"]
    old = Aged(world.s3, STALE_SECONDS + 1)
    later = world.tools(s3=old, check_if_done=True, expected_files=1)
    work(later, world.lease(message))
    assert world.runs() == ["A01", "A01"]
    assert one_stamp(world.outputs("A01"))
    assert world.outcomes() == [("done", "")]


def one_stamp(outputs: dict[str, str]) -> bool:
    """Whether all files come from one execution: the stand-in stamps them."""
    assert sorted(outputs) == ["Image.csv", "sub/Nuclei.csv"]
    stamps = {line.split(",")[3] for line in outputs["Image.csv"].split("\n")[1:] if line}
    stamps |= {line.split(",")[2] for line in outputs["sub/Nuclei.csv"].split("\n")[1:] if line}
    return len(stamps) == 1


# The first looks for a commit, the third fetches the pipeline; from the sixth on: read the
# commit, claim it, two uploads, seal it, write the ledger.
@pytest.mark.parametrize("call", [1, 3, 6, 7, 8, 9, 10, 11])
def test_a_worker_that_dies_at_any_call_leaves_the_job_to_another(call: int, world: World) -> None:
    message = world.message("A01")
    fragile = Fragile(world.s3, call, after=True)
    lease = world.lease(message)
    try:
        work(world.tools(s3=fragile, inputs=Inputs(world.s3)), lease)
    except Crash:
        world.queue().extend(lease, 0)
        work(world.tools(s3=Aged(world.s3, STALE_SECONDS + 1)), world.lease())
    assert one_stamp(world.outputs("A01"))
    assert {outcome for outcome, _ in world.outcomes()} == {"done"}
    assert world.queued() == (0, 0)
    assert json.loads(world.text(commit_of(world)))["state"] == "published"


def test_a_lost_lease_publishes_nothing(world: World) -> None:
    world.behave({"A01": "hang"})
    lease = world.lease(world.message("A01"))
    elapsed = [0.0]

    def clock() -> float:
        if (world.folder / "hanging-A01").exists():
            elapsed[0] = contract.LEASE_SECONDS + 1
        return elapsed[0]

    work(world.tools(clock=clock), lease)
    assert world.outputs("A01") == {}
    assert world.ledger() == []
    assert world.keys(f"runs/{RUN}/commits/") == []
    assert not alive(int((world.folder / "hanging-A01").read_text()))
    assert world.leftovers() == []


def test_a_stopped_run_kills_the_engine(world: World) -> None:
    world.behave({"A01": "hang"})
    lease = world.lease(world.message("A01"))
    tools = world.tools()

    def clock() -> float:
        if (world.folder / "hanging-A01").exists() and not tools.stop.given():
            tools.stop.set("told by another slot")
            world.sqs.delete_queue(QueueUrl=world.queue_url)
        return 0.0

    with pytest.raises(QueueGone):
        work(replace(tools, clock=clock), lease)
    assert world.outputs("A01") == {}
    assert world.ledger() == []
    assert not alive(int((world.folder / "hanging-A01").read_text()))


def test_an_interrupted_job_is_passed_on_with_its_failures(world: World) -> None:
    world.behave({"A01": "hang"})
    world.send(world.message("A01", failures=1))
    first = world.lease()
    world.queue().extend(first, 0)
    lease = world.lease()
    tools = world.tools(job_retries=9)

    def clock() -> float:
        if (world.folder / "hanging-A01").exists():
            tools.stop.set("SIGTERM")
        return 0.0

    work(replace(tools, clock=clock), lease)
    copy = world.lease()
    # One failure the message came with, and one receive before this one.
    assert contract.JobMessage.decode(copy.body).failures == 2
    assert copy.receives == 1
    assert world.ledger() == []
    assert not alive(int((world.folder / "hanging-A01").read_text()))


class SlowUpload:
    """An S3 client whose first upload takes so long, in seconds, with the order to stop given
    at its beginning."""

    def __init__(self, s3: Any, stop: Callable[[], None], sleep: Callable[[], None]):
        self.s3, self.stop, self.sleep, self.uploads = s3, stop, sleep, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def upload_file(self, *args: Any, **kwargs: Any) -> None:
        self.uploads += 1
        if self.uploads == 1:
            self.stop()
            self.sleep()
        self.s3.upload_file(*args, **kwargs)


@pytest.mark.parametrize(
    ("seconds", "at_once", "finished"),
    [(PUBLISH_GRACE - 1, False, True), (PUBLISH_GRACE, False, False), (1, True, False)],
)
def test_a_job_being_published_may_finish(
    seconds: float, at_once: bool, finished: bool, world: World
) -> None:
    now = [0.0]
    stop = Stop(lambda: now[0])
    slow = SlowUpload(
        world.s3,
        stop=lambda: stop.set("SIGTERM", at_once),
        sleep=lambda: now.__setitem__(0, seconds),
    )
    tools = world.tools(s3=slow, inputs=Inputs(world.s3), stop=stop, clock=lambda: now[0])
    work(tools, world.lease(world.message("A01")))
    assert slow.uploads == (2 if finished else 1)
    assert world.outcomes() == ([("done", "")] if finished else [])
    assert world.queued() == ((0, 0) if finished else (1, 0))


# --- file lists and siblings -----------------------------------------------------------------


def test_padded_values_are_found_as_cellprofiler_reads_them(world: World) -> None:
    text = load_data_csv().replace(",A01,", ",002,").replace(",A02,", ",010,")
    world.put(CSV, text.replace("B01,", "011,").encode())
    work(world.tools(), world.lease(world.message("2")))
    # The stand-in compares text, so it finds no row; the files were fetched for two.
    events = world.logs.get_log_events(logGroupName=world.log_group, logStreamName="2")
    assert "Fetched 2 files" in [event["message"] for event in events["events"]]


def test_the_data_file_may_have_any_case(world: World) -> None:
    world.put("project/LOAD.CSV", load_data_csv().encode())
    work(world.tools(), world.lease(world.message("A01", data_file="project/LOAD.CSV")))
    assert world.outcomes() == [("done", "")]


def test_a_file_list_is_fetched_and_moved(world: World) -> None:
    lines = ["/home/ubuntu/bucket/project/images/A01 s1.tif", "", "s3://elsewhere/b.tif"]
    world.put("project/list.TXT", "\r\n".join(lines).encode())
    folder = Folder(world.folder / "job")
    folder.make()
    environment = world.environment()
    message = world.message("A01", data_file="project/list.TXT")
    job = prepared(world, environment, message, folder)
    assert [item.key for item in job.wanted] == ["project/images/A01 s1.tif"]
    (argument,) = [a for a in job.command.arguments() if a.startswith("--file-list=")]
    listed = Path(argument.split("=", 1)[1]).read_text().split("\n")
    assert listed == [
        f"{environment.mount}/project/images/A01 s1.tif",
        "s3://elsewhere/b.tif",
        "",
    ]
    assert "-g" in job.command.arguments()
    other = replace(message, group=(("Metadata_Plate", "P1"),))
    ungrouped = prepared(world, environment, other, Folder(world.folder / "other-job"))
    assert "-g" not in ungrouped.command.arguments()


def test_a_batch_file_is_the_pipeline_and_nothing_else_is_named(world: World) -> None:
    world.put("project/Batch_data.h5", b"\x89HDF\r\n\x1a\n")
    message = world.message(
        "A01", pipeline="project/Batch_data.h5", data_file="project/Batch_data.h5"
    )
    job = prepared(world, world.environment(), message, Folder(world.folder / "job"))
    arguments = job.command.arguments()
    assert not [a for a in arguments if a.startswith(("--data-file", "--file-list"))]
    assert arguments[arguments.index("-g") + 1] == "Metadata_Well=A01"


def test_what_can_be_run_warm(world: World, tmp_path: Path) -> None:
    """Whatever isn't a CSV without plugins, or was asked not to be, runs by the command line."""
    world.put("project/list.txt", b"/home/ubuntu/bucket/project/images/A01 s1.tif\n")
    (world.environment().root / "CellProfiler-plugins").mkdir(parents=True)
    csv, listed = world.message("A01"), world.message("A01", data_file="project/list.txt")

    def cold(message: contract.JobMessage, **changes: Any) -> str:
        folder = Folder(tmp_path / str(len(list(tmp_path.iterdir()))))
        folder.make()
        return prepared(world, world.environment(**changes), message, folder).command.cold

    assert cold(csv) == ""
    assert cold(csv, engine="cli") == "ENGINE is 'cli'"
    assert cold(csv, use_plugins=True) == "it uses plugins"
    assert cold(listed) == "its data file is no CSV"


def test_a_second_attempt_is_made_by_the_command_line(world: World) -> None:
    """What the warm engine may have done to the first one must not spoil the last."""
    world.behave({"A01": "module error"})
    world.send(world.message("A01"))
    for _ in range(2):
        lease = world.lease()
        work(world.tools(), lease)
        world.queue().extend(lease, 0)
    events = world.logs.get_log_events(logGroupName=world.log_group, logStreamName="A01")
    lines = [event["message"] for event in events["events"]]
    reasons = [line for line in lines if line.startswith("CellProfiler is started for this job")]
    assert len(reasons) == 2
    assert reasons[0].endswith("cellprofiler isn't CellProfiler's own start script")
    assert reasons[1].endswith("an earlier attempt failed")


def test_a_done_file_can_t_be_stale_or_published(world: World) -> None:
    """Each attempt has a folder of its own, and the done file isn't among the results."""
    folder = Folder(world.folder / "job")
    job = prepared(world, world.environment(), world.message("A01"), folder)
    assert folder.output not in job.command.done.parents
