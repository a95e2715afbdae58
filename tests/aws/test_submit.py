"""Submission against the emulator: each event once, from any point of death, nothing for refused."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.aws import send
from chalicelib.aws.errors import AwsError
from chalicelib.aws.services import Services
from chalicelib.contract import JobMessage
from chalicelib.core.claim import LEASE
from chalicelib.core.run import STOPPED, Phase
from chalicelib.errors import CellFleetError, LeaseLostError
from chalicelib.handlers.submit import on_job_file
from chalicelib.operations import control
from chalicelib.operations.resume import resume_all
from chalicelib.operations.submit import Outcome
from chalicelib.operations.tick import tick_run
from tests.aws.conftest import BUCKET, World
from tests.aws.samples import config_keys, job_file

KEY = "jobs/App/plate.json"


def event(key: str = KEY, version: str = "", sequencer: str = "01") -> dict[str, Any]:
    """An S3 event of one record, as S3 sends it."""
    stored: dict[str, Any] = {"key": key, "sequencer": sequencer}
    if version:
        stored["versionId"] = version
    return {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": stored}}]}


def upload(world: World, body: Any = None, key: str = KEY, **config: Any) -> dict[str, Any]:
    """Put a job file that carries its config; the event that S3 would send."""
    body = job_file(config=config_keys(**config)) if body is None else body
    return event(key, world.put(key, body))


def send_event(world: World, sent: dict[str, Any], owner: str = "first") -> Outcome:
    return on_job_file(world.process(owner), sent)[0]


def wells(messages: list[dict[str, Any]]) -> Counter[str]:
    return Counter(message["Metadata"] for message in messages)


def everything_made(world: World) -> list[str]:
    """All that AWS would bill or show."""
    queues = world.client("sqs").list_queues().get("QueueUrls", [])
    clusters = world.client("ecs").list_clusters()["clusterArns"]
    fleets = world.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    groups = world.client("logs").describe_log_groups()["logGroups"]
    return [*queues, *clusters, *map(str, fleets), *map(str, groups), *world.keys("live/")]


# --- one upload, everything follows --------------------------------------------------------------


def test_one_upload_sets_up_sends_and_starts(world: World) -> None:
    outcome = send_event(world, upload(world, job_file(5, config=config_keys())))
    assert (outcome.state, outcome.jobs) == ("closed", 5)

    messages = world.messages("AppQueue")
    assert wells(messages) == {f"Metadata_Plate=P1,Metadata_Well={w}": 1 for w in range(5)}
    message = JobMessage.decode(json.dumps(messages[0]))
    assert (message.run, message.submission) == (outcome.run_id, outcome.submission)
    # 5 jobs of a minute on machines with 2 slots: a third machine wouldn't pay for its boot.
    fleets = world.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert [f["SpotFleetRequestConfig"]["TargetCapacity"] for f in fleets] == [2]
    service = world.client("ecs").describe_services(cluster="lab", services=["AppService"])
    assert service["services"][0]["desiredCount"] == 2
    assert (
        world.read("monitors/AppSpotFleetRequestId.json")["MONITOR_FLEET_ID"]
        == (fleets[0]["SpotFleetRequestId"])
    )
    assert world.keys("runs/pending/") == []


def test_the_jobs_sent_are_listed_for_later(world: World) -> None:
    outcome = send_event(world, upload(world))
    keys = world.keys(f"runs/{outcome.run_id}/submissions/")
    body = world.client("s3").get_object(Bucket=BUCKET, Key=keys[0])["Body"].read()
    shared, *jobs = [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]
    assert shared["pipeline"] == "project/analysis.cppipe"
    assert [job[1]["Metadata_Well"] for job in jobs] == ["0", "1", "2", "3"]
    assert [job[2] for job in jobs] == [f"project/output/P1-{w}" for w in range(4)]


def test_a_job_file_without_config_uses_the_one_of_set_up(world: World) -> None:
    send_event(world, upload(world))
    control.stop(world.process(), "App")
    tick_run(world.process(), world.keys("live/")[0].removeprefix("live/"))
    assert world.keys("live/") == []
    world.clock.advance(minutes=5)
    outcome = send_event(world, upload(world, job_file(2), key="jobs/App/more.json"))
    assert (outcome.state, outcome.jobs) == ("closed", 2)


def test_a_second_job_file_joins_the_live_run(world: World) -> None:
    first = send_event(world, upload(world))
    second = send_event(world, upload(world, job_file(3), key="jobs/App/more.json"))
    assert second.run_id == first.run_id
    assert len(world.messages("AppQueue")) == 7


def test_keys_come_encoded_and_events_hold_several_records(world: World) -> None:
    world.put("jobs/App/plate one+two.json", job_file(config=config_keys()))
    world.put("jobs/App/more.json", job_file(2))
    sent = event("jobs/App/plate+one%2Btwo.json")
    sent["Records"] += event("jobs/App/more.json")["Records"]
    outcomes = on_job_file(world.process(), sent)
    assert [o.jobs for o in outcomes] == [4, 2]


# --- the same event again ------------------------------------------------------------------------


def test_an_event_delivered_three_times_counts_once(world: World) -> None:
    sent = upload(world)
    states = [send_event(world, sent, f"lambda {n}").state for n in range(3)]
    assert states == ["closed", "over", "over"]
    assert len(world.messages("AppQueue")) == 4
    assert world.keys("runs/pending/") == []


def test_an_event_delivered_twice_at_once_counts_once(world: World) -> None:
    sent = upload(world, job_file(40, config=config_keys()))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda n: send_event(world, sent, f"lambda {n}"), range(2)))
    assert "closed" in [o.state for o in outcomes]
    assert set(wells(world.messages("AppQueue")).values()) == {1}
    assert len(world.keys("live/")) == 1
    fleets = world.client("ec2").describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    assert len(fleets) == 1


def test_the_same_file_uploaded_again_on_purpose_runs_again(world: World) -> None:
    first = send_event(world, upload(world))
    second = send_event(world, upload(world, job_file()))
    assert second.submission != first.submission
    assert set(wells(world.messages("AppQueue")).values()) == {2}


# --- death at any point ----------------------------------------------------------------------------


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cursors every 10 jobs, so that a small job file has many."""
    monkeypatch.setattr(send, "WINDOW", 10)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("call", range(0, 100, 7))
def test_a_submission_killed_at_any_call_is_resumed_by_a_tick(world: World, call: int) -> None:
    """All along the path, from the mark to the closing."""
    sent = upload(world, job_file(35, config=config_keys()))
    world.wire.cut_after(call)
    with contextlib.suppress(CellFleetError, *AwsError):
        send_event(world, sent, "dies")
    world.wire.mend()
    if not world.keys("runs/pending/"):  # before the mark was set: S3 delivers its event again
        send_event(world, sent, "again")
    world.clock.advance(seconds=LEASE.total_seconds() + 1)
    outcomes = list(resume_all(world.process("tick")))
    assert [o.state for o in outcomes] in ([], ["closed"], ["over"])
    assert world.keys("runs/pending/") == []
    messages = world.messages("AppQueue")
    assert set(wells(messages)) == {f"Metadata_Plate=P1,Metadata_Well={w}" for w in range(35)}
    # A batch whose acknowledgement was lost is sent again; its jobs keep their ids.
    assert len({message["cellfleet"]["job"] for message in messages}) == 35
    record = world.read(f"runs/{messages[0]['cellfleet']['run']}/run.json")
    assert [s["closed"] for s in record["submissions"].values()] == [True]


@pytest.mark.usefixtures("small_windows")
def test_a_submission_killed_after_each_acknowledged_batch_sends_no_job_twice(
    world: World,
) -> None:
    """The multiset is the same when the cursor was saved before the death."""

    class DiesAfterCursor(Services):
        def check_deadline(self) -> None:
            if _saved(world):
                raise KeyboardInterrupt

    sent = upload(world, job_file(35, config=config_keys()))
    process = world.process("dies")
    deaths = 0
    while True:
        dying = DiesAfterCursor(
            settings=process.settings, clients=process.clients, now=world.clock, owner=f"d{deaths}"
        )
        try:
            on_job_file(dying, sent)
        except KeyboardInterrupt:
            deaths += 1
            world.clock.advance(seconds=LEASE.total_seconds() + 1)
            continue
        break
    assert deaths == 4
    assert wells(world.messages("AppQueue")) == {
        f"Metadata_Plate=P1,Metadata_Well={w}": 1 for w in range(35)
    }


def _saved(world: World) -> bool:
    return any(world.read(key)["sent"] for key in world.keys("apps/App/submissions/"))


def test_whoever_lost_the_lease_sends_no_more(world: World) -> None:
    sent = upload(world, job_file(config=config_keys()))

    class Slow(Services):
        """Sleeps through its lease once the jobs are checked; another takes over meanwhile."""

        def check_deadline(self) -> None:
            world.clock.advance(seconds=LEASE.total_seconds() + 1)
            assert send_event(world, sent, "quick").state == "closed"

    process = world.process("slow")
    slow = Slow(settings=process.settings, clients=process.clients, now=world.clock, owner="slow")
    with pytest.raises(LeaseLostError):
        on_job_file(slow, sent)
    assert [o.state for o in resume_all(world.process("tick"))] == []


@pytest.mark.usefixtures("small_windows")
def test_out_of_time_it_stops_cleanly_and_the_tick_goes_on(world: World) -> None:
    sent = upload(world, job_file(25, config=config_keys()))
    process = world.process("short")
    short = Services(
        settings=process.settings,
        clients=process.clients,
        now=world.clock,
        deadline=world.clock() + timedelta(seconds=5),
        owner="short",
    )
    with pytest.raises(CellFleetError, match="out of time"):
        on_job_file(short, sent)
    # Released, not expired: no waiting for the lease.
    assert [o.state for o in resume_all(world.process("tick"))] == ["closed"]
    assert wells(world.messages("AppQueue")).total() == 25


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not json", "JSON"),
        (job_file(config=config_keys(), groups=[]), "groups"),
        (job_file(config=config_keys(EBS_VOL_SIZE=10)), "EBS_VOL_SIZE"),
        (job_file(config=config_keys(app="Other")), "APP_NAME"),
        (job_file(), "configuration"),
        (job_file(config=config_keys(), fleet={"IamFleetRole": 7}), "LaunchSpecifications"),
        (job_file(config=config_keys(), pipeline="../secret.cppipe"), "pipeline"),
    ],
)
def test_a_refused_file_creates_nothing_and_says_why(world: World, body: Any, reason: str) -> None:
    outcome = send_event(world, upload(world, body))
    assert outcome.state == "refused"
    refused = world.read("refused/App/plate.json")
    assert any(reason in problem for problem in refused["problems"])
    assert refused["job_file"] == KEY
    assert everything_made(world) == []
    assert world.keys("runs/pending/") == []


def test_all_problems_of_a_file_are_told_at_once_up_to_a_hundred(world: World) -> None:
    bad = [{"Metadata": f"Metadata_Well=A=B{n}"} for n in range(150)]
    send_event(world, upload(world, job_file(config=config_keys(), groups=bad)))
    refused = world.read("refused/App/plate.json")
    assert refused["problems_in_all"] == 150
    assert len(refused["problems"]) == 100
    assert "groups[0]" in refused["problems"][0]


def test_a_mended_file_takes_its_refusal_away(world: World) -> None:
    send_event(world, upload(world, b"{"))
    assert world.keys("refused/") == ["refused/App/plate.json"]
    send_event(world, upload(world))
    assert world.keys("refused/") == []


def test_a_key_without_an_app_is_refused(world: World) -> None:
    assert on_job_file(world.process(), upload(world, key="jobs/stray.json")) == []
    assert "jobs/APP_NAME/NAME.json" in world.read("refused/_/stray.json")["problems"][0]


def test_a_file_that_conflicts_with_the_live_run_is_refused_naming_it(world: World) -> None:
    first = send_event(world, upload(world))
    other = job_file(config=config_keys(CLUSTER_MACHINES=9))
    outcome = send_event(world, upload(world, other, key="jobs/App/other.json"))
    assert outcome.state == "refused"
    assert first.run_id in world.read("refused/App/other.json")["problems"][0]
    assert len(world.messages("AppQueue")) == 4


# --- between two runs ----------------------------------------------------------------------------


def test_a_submission_to_a_run_that_is_being_removed_waits_for_a_new_one(world: World) -> None:
    first = send_event(world, upload(world))

    def tearing(record: Any) -> Any:
        return record.model_copy(update={"phase": Phase.TEARING_DOWN, "outcome": STOPPED})

    world.process().runs.change(first.run_id, tearing)
    outcome = send_event(world, upload(world, job_file(2), key="jobs/App/next.json"))
    assert outcome.state == "waiting"
    assert len(world.keys("runs/pending/App/")) == 1

    for _ in range(3):
        tick_run(world.process("tick"), first.run_id)
    world.clock.advance(minutes=2)
    (resumed,) = resume_all(world.process("tick"))
    assert resumed.state == "closed"
    assert resumed.run_id != first.run_id
    assert len(world.messages("AppQueue")) == 2


@pytest.mark.usefixtures("small_windows")
def test_a_stopped_run_is_not_brought_back_by_its_own_submission(world: World) -> None:
    sent = upload(world, job_file(35, config=config_keys()))
    world.wire.cut_at("AmazonSQS.SendMessageBatch", 2)
    with pytest.raises((CellFleetError, *AwsError)):
        send_event(world, sent, "dies")
    world.wire.mend()
    run_id = world.keys("live/")[0].removeprefix("live/")
    control.stop(world.process(), "App")
    for _ in range(3):
        tick_run(world.process("tick"), run_id)
    world.clock.advance(minutes=5)
    (outcome,) = resume_all(world.process("tick"))
    assert outcome.state == "refused"
    assert "was stopped" in world.read("refused/App/plate.json")["problems"][0]
    assert world.keys("live/") == []
