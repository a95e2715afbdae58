"""Keys and values: spellings, kinds, fall-backs, and what is said of each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.config import ParsedConfig, RunConfig, parse_config, parse_keys
from chalicelib.core.config_docs import DOCS
from chalicelib.core.config_keys import KINDS
from chalicelib.errors import ConfigError, Problem

GOLDEN = Path(__file__).parent.parent / "golden" / "config"
LEAST = {"APP_NAME": "Screen", "AWS_BUCKET": "my-lab", "AUTO_MONITOR": "True"}


def parse(**keys: Any) -> ParsedConfig:
    return parse_keys(LEAST | keys, "test")


def config(**keys: Any) -> RunConfig:
    return parse(**keys).config


def problems(raw: dict[str, Any]) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        parse_keys(raw, "test")
    return list(caught.value.problems)


def problem(**keys: Any) -> Problem:
    (only,) = problems(LEAST | keys)
    return only


@pytest.mark.parametrize("name", ["example_1", "example_2"])
def test_the_documented_examples_parse_as_recorded(name: str) -> None:
    parsed = parse_config((GOLDEN / f"{name}.py").read_text(encoding="utf-8"), "config.py")
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = {
        "keys": parsed.config.to_keys(),
        "warnings": list(parsed.warnings),
        "slots_per_machine": parsed.config.slots_per_machine,
        "container_disk_gb": parsed.config.container_disk_gb,
        "upload_arguments": parsed.config.upload_arguments,
        "key_name": parsed.config.key_name,
        "image_version": parsed.config.image_version,
    }
    assert json.loads(json.dumps(found)) == golden
    assert parse_keys(golden["keys"], "golden").config == parsed.config


def test_what_is_absent_has_dcps_fallback_or_its_samples_value() -> None:
    only = parse_keys({"APP_NAME": "Screen", "AWS_BUCKET": "my-lab"}, "test")
    assert only.config.job_retries == 10
    assert not only.config.auto_monitor
    assert not only.config.create_dashboard
    assert not only.config.clean_dashboard
    assert only.config.assign_ip
    assert only.config.machine_price is None
    assert only.config.sqs_queue_name == "ScreenQueue"
    assert only.config.sqs_dead_letter_queue == "user_DeadMessages"
    assert only.config.log_group_name == "Screen"
    assert only.config.cpu_shares == 4096
    assert only.config.worker == "auto"
    assert any("AUTO_MONITOR" in warning for warning in only.warnings)


def test_cpu_shares_follow_the_cores() -> None:
    assert config(DOCKER_CORES=2).cpu_shares == 2048


@pytest.mark.parametrize("none", ["False", "FALSE", "", False, None])
def test_buckets_fall_back(none: Any) -> None:
    found = config(SOURCE_BUCKET=none, WORKSPACE_BUCKET=none, DESTINATION_BUCKET=none)
    assert found.source_bucket == found.workspace_bucket == found.destination_bucket == "my-lab"
    assert config(SOURCE_BUCKET="images", WORKSPACE_BUCKET=none).workspace_bucket == "images"
    assert config(SOURCE_BUCKET="images", DESTINATION_BUCKET=none).destination_bucket == "my-lab"
    assert problem(AWS_BUCKET=none).where == "AWS_BUCKET"


@pytest.mark.parametrize(
    ("raw", "value"),
    [("True", True), ("tRUE ", True), (True, True), ("False", False), ("FALSE", False)],
)
def test_booleans_come_as_text_in_any_case_or_as_booleans(raw: Any, value: bool) -> None:
    assert config(CHECK_IF_DONE_BOOL=raw).check_if_done_bool is value


@pytest.mark.parametrize("raw", ["yes", 1, 0, "", [], 1.0])
def test_other_booleans_are_refused(raw: Any) -> None:
    assert problem(DOWNLOAD_FILES=raw).expected == "must be 'True' or 'False'"


@pytest.mark.parametrize(
    "key",
    [
        "NOTIFY_TOPIC",
        "UPLOAD_FLAGS",
        "PLUGINS_COMMIT",
        "REQUIREMENTS",
        "SSH_KEY_NAME",
        "NECESSARY_STRING",
    ],
)
@pytest.mark.parametrize("none", ["False", "false", False, "", None])
def test_false_means_no_text(key: str, none: Any) -> None:
    assert getattr(config(**{key: none}), key.lower()) == ""


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ALWAYS CONTINUE", "always_continue", True),
        ("always-continue", "always_continue", True),
        ("cluster_machines", "cluster_machines", 7),
        ("Requirements_File", "requirements", "cellpose"),
        ("REQUIREMENTS_FILE", "requirements", "cellpose"),
    ],
)
def test_keys_in_other_spellings(name: str, key: str, value: Any) -> None:
    assert getattr(config(**{name: value}), key) == value


def test_a_key_in_two_spellings_must_agree() -> None:
    assert config(REQUIREMENTS="a", REQUIREMENTS_FILE="a").requirements == "a"
    found = problem(REQUIREMENTS="a", REQUIREMENTS_FILE="b")
    assert (found.where, found.found) == ("REQUIREMENTS_FILE", "'b'")
    assert "REQUIREMENTS" in found.hint
    assert problem(MEMORY=9000, memory=8000).where == "memory"


def test_comments_are_passed_over() -> None:
    assert config(_comment="anything", _COMMENT_2=[{}]) == config()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EBS_VOLUME_SIZE", "EBS_VOL_SIZE"),
        ("CHECK_IF_DONE", "CHECK_IF_DONE_BOOL"),
        ("DOCKER_CORE", "DOCKER_CORES"),
        ("sqs_visibility", "SQS_MESSAGE_VISIBILITY"),
    ],
)
def test_a_misspelt_key_is_told_the_nearest(name: str, meant: str) -> None:
    found = problem(**{name: 1})
    assert (found.where, found.found, found.hint) == (name, "1", f"did you mean {meant}?")


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(
        {
            "APP_NAME": "no spaces",
            "EBS_VOL_SIZE": 10,
            "JOB_RETRIES": 0,
            "MACHINE_TYPE": ["c5.xlarge"],
            "MEMORY": 15000,
            "UPLOAD_FLAGS": "--acl mine",
            "NOT_A_KEY_AT_ALL": 3,
        }
    )
    assert {problem.where for problem in found} == {
        "APP_NAME", "EBS_VOL_SIZE", "JOB_RETRIES", "MEMORY", "UPLOAD_FLAGS", "NOT_A_KEY_AT_ALL",
        "AWS_BUCKET",
    }  # fmt: skip
    assert len(found) == 7
    ebs = next(problem for problem in found if problem.where == "EBS_VOL_SIZE")
    assert str(ebs) == "EBS_VOL_SIZE is 10: must be a whole number from 22 to 16384 GB"


def test_a_wrong_key_is_not_told_again_by_the_rules_that_read_it() -> None:
    assert problem(TASKS_PER_MACHINE="many", EBS_VOL_SIZE=22).where == "TASKS_PER_MACHINE"


def test_a_hundred_mistakes_are_listed_and_all_are_counted() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_keys(LEAST | {f"X{number}": number for number in range(300)}, "test")
    assert len(caught.value.problems) == 100
    assert caught.value.total == 300


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("EBS_VOL_SIZE", 22, 16384),
        ("SQS_MESSAGE_VISIBILITY", 1, 43200),
        ("JOB_RETRIES", 1, 1000),
        ("CLUSTER_MACHINES", 1, 10000),
        ("SECONDS_TO_START", 0, 43200),
    ],
)
def test_bounds(key: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(config(**{key: value}), key.lower()) == value
    for value in (low - 1, high + 1):
        assert problem(**{key: value}).where == key


@pytest.mark.parametrize(("raw", "value"), [("30", 30), (" 30 ", 30), (60 / 2, 30), (30, 30)])
def test_whole_numbers(raw: Any, value: int) -> None:
    found = config(EBS_VOL_SIZE=raw).ebs_vol_size
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("raw", ["3e1", "", 30.5, True, float("nan"), float("inf"), [30], 10**99])
def test_other_numbers_are_refused(raw: Any) -> None:
    assert problem(EBS_VOL_SIZE=raw).where == "EBS_VOL_SIZE"


def test_a_number_too_long_to_write_is_refused() -> None:
    assert problem(EBS_VOL_SIZE=10**5000).found == "a huge number"


@pytest.mark.parametrize(
    ("raw", "value"),
    [(0.20, 0.2), ("0.20", 0.2), (1, 1.0), (0.1 + 0.2, 0.3), (None, None), ("False", None)],
)
def test_price_is_a_cap_per_machine_and_absent_means_none(raw: Any, value: float | None) -> None:
    assert config(MACHINE_PRICE=raw).machine_price == value


@pytest.mark.parametrize("raw", [0, -0.1, 0.00001, "free", True, float("nan"), 1e9, 10**40])
def test_other_prices_are_refused(raw: Any) -> None:
    assert problem(MACHINE_PRICE=raw).where == "MACHINE_PRICE"


def test_a_price_is_written_as_ec2_reads_it() -> None:
    assert str(config(MACHINE_PRICE=0.0001).machine_price) == "0.0001"


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("APP_NAME", "-x"),
        ("APP_NAME", "a" * 61),
        ("APP_NAME", "no/slash"),
        ("AWS_BUCKET", "s3://my-lab"),
        ("AWS_BUCKET", "My_Lab"),
        ("AWS_BUCKET", "192.168.0.1"),
        ("AWS_BUCKET", "a..b"),
        ("AWS_BUCKET", "ab"),
        ("AWS_REGION", "US East"),
        ("SQS_QUEUE_NAME", "Jobs.fifo"),
        ("SQS_QUEUE_NAME", "q" * 81),
        ("SQS_DEAD_LETTER_QUEUE", ""),
        ("SQS_DEAD_LETTER_QUEUE", "False queue"),
        ("ECS_CLUSTER", "my cluster"),
        ("LOG_GROUP_NAME", "aws/mine"),
        ("LOG_GROUP_NAME", "a:b"),
        ("DOCKERHUB_TAG", "Upper/image:tag"),
        ("DOCKERHUB_TAG", "image:tag:tag"),
        ("DOCKERHUB_TAG", 7),
        ("MACHINE_TYPE", []),
        ("MACHINE_TYPE", ["xlarge"]),
        ("MACHINE_TYPE", [5]),
        ("MACHINE_TYPE", [["m5.xlarge"]]),
        ("PLUGINS_COMMIT", "--upload-pack=x"),
        ("WORKER", "fast"),
    ],
)
def test_names_that_aws_would_refuse(key: str, raw: Any) -> None:
    assert problem(**{key: raw}).where == key


def test_a_fifo_queue_is_refused_with_the_reason() -> None:
    assert "first-in-first-out" in problem(SQS_QUEUE_NAME="Jobs.fifo").hint


@pytest.mark.parametrize("name", ["a.bucket.with.dots", "abc", "a" * 63])
def test_bucket_names(name: str) -> None:
    assert config(AWS_BUCKET=name).aws_bucket == name


@pytest.mark.parametrize("letter", ["\n", "\x00", "\x1b", "\u200b", "\u202e", "\ud800", "\u2028"])
def test_control_characters_are_refused_everywhere(letter: str) -> None:
    text = f"a{letter}b"
    for key in KINDS:
        found = problem(**{key.upper(): [text] if key == "machine_type" else text})
        assert found.where == key.upper()
        assert str(found).isprintable()
    assert str(problem(**{text: 1})).isprintable()


def test_a_dead_letter_arn_is_its_last_part() -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:old_DeadMessages"
    assert config(SQS_DEAD_LETTER_QUEUE=arn).sqs_dead_letter_queue == "old_DeadMessages"


def test_machine_types_may_be_one_and_are_not_repeated() -> None:
    assert config(MACHINE_TYPE="m5.xlarge").machine_type == ("m5.xlarge",)
    twice = config(MACHINE_TYPE=["m5.xlarge", "m5a.xlarge", "m5.xlarge"])
    assert twice.machine_type == ("m5.xlarge", "m5a.xlarge")


@pytest.mark.parametrize(
    ("raw", "name"),
    [("my-key.pem", "my-key"), ("my-key", "my-key"), ("your-key-file.pem", ""), ("", "")],
)
def test_ssh_key(raw: str, name: str) -> None:
    assert config(SSH_KEY_NAME=raw).key_name == name


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("cellprofiler/distributed-cellprofiler:2.2.0_4.2.8", "4.2.8"),
        ("registry.example.org:5000/lab/worker_x:1.0_4.2.8.1", "4.2.8.1"),
        ("lab/worker:1_4.2.8@sha256:" + "0" * 64, "4.2.8"),
        ("cellprofiler/cellprofiler:4.2.8", ""),
        ("lab/worker:my_latest", ""),
        ("lab/worker_4.2.8", ""),
        ("lab/worker", ""),
    ],
)
def test_the_images_cellprofiler_version(tag: str, version: str) -> None:
    assert config(DOCKERHUB_TAG=tag).image_version == version


def test_a_configuration_is_frozen_and_has_no_other_keys() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config().app_name = "Other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="nothing_else"):
        RunConfig(app_name="App", aws_bucket="abc", nothing_else=1)  # type: ignore[call-arg]


def test_every_field_is_documented_with_an_example_that_is_valid() -> None:
    assert list(DOCS) == list(RunConfig.model_fields)
    for name, doc in DOCS.items():
        KINDS[name].read(doc.example)
