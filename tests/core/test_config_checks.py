"""Rules between keys, and the machines' sizes that they rest on."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.core.config import parse_keys
from chalicelib.core.machine_types import MachineSize, is_arm, machine_size
from chalicelib.errors import ConfigError

LEAST = {"APP_NAME": "Screen", "AWS_BUCKET": "my-lab", "AUTO_MONITOR": "True"}


def warnings(**keys: Any) -> tuple[str, ...]:
    return parse_keys(LEAST | keys, "test").warnings


def problem(**keys: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse_keys(LEAST | keys, "test")
    (only,) = caught.value.problems
    return only.where, str(only)


def test_a_plain_configuration_has_no_warnings() -> None:
    assert warnings() == ()


def test_each_container_needs_disk() -> None:
    large = {"MACHINE_TYPE": ["m5.24xlarge"], "DOCKER_CORES": 1, "MEMORY": 1000}
    assert warnings(TASKS_PER_MACHINE=14, EBS_VOL_SIZE=30, **large) == ()
    where, text = problem(TASKS_PER_MACHINE=15, EBS_VOL_SIZE=30, **large)
    assert where == "EBS_VOL_SIZE"
    assert "more than 30 GB" in text


def test_a_topic_lies_in_the_runs_region() -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:lab"
    assert warnings(NOTIFY_TOPIC=topic, AWS_REGION="eu-west-1") == ()
    where, text = problem(NOTIFY_TOPIC=topic, AWS_REGION="us-east-1")
    assert where == "NOTIFY_TOPIC"
    assert "must be a topic in AWS_REGION 'us-east-1'" in text


def test_the_dead_letter_queue_is_another_queue() -> None:
    assert problem(SQS_DEAD_LETTER_QUEUE="ScreenQueue")[0] == "SQS_DEAD_LETTER_QUEUE"


def test_a_done_check_that_is_always_true_is_refused() -> None:
    assert problem(CHECK_IF_DONE_BOOL=True, EXPECTED_NUMBER_FILES=0)[0] == "EXPECTED_NUMBER_FILES"
    assert warnings(CHECK_IF_DONE_BOOL=False, EXPECTED_NUMBER_FILES=0) == ()


@pytest.mark.parametrize(
    ("machine", "tasks", "memory"),
    [
        ("m4.16xlarge", 16, 15000),
        ("m4.xlarge", 1, 15000),
        ("m5.xlarge", 1, 15000),
        ("c5.xlarge", 1, 7500),
        ("c4.xlarge", 1, 7000),
    ],
)
def test_what_users_run_today_fits(machine: str, tasks: int, memory: int) -> None:
    found = warnings(
        MACHINE_TYPE=[machine], TASKS_PER_MACHINE=tasks, MEMORY=memory, EBS_VOL_SIZE=165
    )
    assert found == ()


def test_containers_that_ecs_could_never_place_are_refused() -> None:
    where, text = problem(MACHINE_TYPE=["c5.xlarge"], MEMORY=8192)
    assert where == "MEMORY"
    assert "c5.xlarge" in text
    where, text = problem(MACHINE_TYPE=["m5.xlarge"], DOCKER_CORES=5)
    assert where == "CPU_SHARES"
    assert "m5.xlarge" in text
    assert problem(TASKS_PER_MACHINE=2, MEMORY=7500)[0] == "CPU_SHARES"
    assert problem(TASKS_PER_MACHINE=2, DOCKER_CORES=2)[0] == "MEMORY"
    # On any one of the types.
    assert problem(MACHINE_TYPE=["m5.xlarge", "c5.xlarge"])[0] == "MEMORY"


def test_machines_of_unknown_size_are_not_checked() -> None:
    assert warnings(MACHINE_TYPE=["x9.mega"], MEMORY=10**6, DOCKER_CORES=20) == ()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ALWAYS_CONTINUE": True, "JOB_RETRIES": 4}, "ALWAYS_CONTINUE with JOB_RETRIES 4"),
        ({"MACHINE_TYPE": ["m5.xlarge", "m5.2xlarge"]}, "m5.2xlarge (8 vCPU, 32 GiB)"),
        ({"MACHINE_TYPE": ["m6g.xlarge"]}, "m6g.xlarge: an Arm processor"),
        ({"DOCKER_CORES": 4, "CPU_SHARES": 2048}, "4096 gives each its own"),
        ({"MEMORY": 15}, "meant in GB"),
        ({"MEMORY": 16000}, "nearly all of m5.xlarge's 16384 MB"),
        ({"SECONDS_TO_START": 1201}, "60 minutes after"),
        ({"UPLOAD_FLAGS": "--metadata-directive REPLACE"}, "--metadata-directive REPLACE"),
        ({"PLUGINS_COMMIT": "v1.0"}, "PLUGINS_COMMIT has no effect while USE_PLUGINS"),
        ({"SOURCE_BUCKET": "your-bucket-name", "WORKSPACE_BUCKET": "abc"}, "SOURCE_BUCKET"),
        ({"SSH_KEY_NAME": "your-key-file.pem"}, "placeholder"),
    ],
)
def test_a_word_of_warning(keys: dict[str, Any], words: str) -> None:
    (only,) = warnings(**keys)
    assert words in only


@pytest.mark.parametrize(
    "keys",
    [
        {"ALWAYS_CONTINUE": True, "JOB_RETRIES": 3},
        {"MACHINE_TYPE": ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]},
        {"USE_PLUGINS": True, "PLUGINS_COMMIT": "v1.0"},
        {"SECONDS_TO_START": 1200},
    ],
)
def test_no_warning_where_all_is_well(keys: dict[str, Any]) -> None:
    assert warnings(**keys) == ()


@pytest.mark.parametrize(
    ("name", "vcpus", "gib"),
    [
        ("m4.large", 2, 8),
        ("m4.10xlarge", 40, 160),
        ("m4.16xlarge", 64, 256),
        ("m5.xlarge", 4, 16),
        ("m5a.24xlarge", 96, 384),
        ("m6i.32xlarge", 128, 512),
        ("m7i-flex.large", 2, 8),
        ("c4.large", 2, 3.75),
        ("c4.8xlarge", 36, 60),
        ("c5.9xlarge", 36, 72),
        ("c6a.48xlarge", 192, 384),
        ("c7i.2xlarge", 8, 16),
        ("r4.large", 2, 15.25),
        ("r4.16xlarge", 64, 488),
        ("r5.xlarge", 4, 32),
        ("r6i.2xlarge", 8, 64),
        ("t3.micro", 2, 1),
        ("t3a.2xlarge", 8, 32),
        ("t2.small", 1, 2),
    ],
)
def test_known_sizes(name: str, vcpus: int, gib: float) -> None:
    assert machine_size(name) == MachineSize(vcpus, int(gib * 1024))


@pytest.mark.parametrize(
    "name", ["m5.metal", "c5n.xlarge", "m9x.large", "p3.2xlarge", "t3.4xlarge", "m5", "", "m5.7"]
)
def test_unknown_sizes(name: str) -> None:
    assert machine_size(name) is None


def test_usable_memory_is_above_what_ecs_registers() -> None:
    # Amazon documents 7985 MiB for m4.large; the bound must not refuse what would be placed.
    size = machine_size("m4.large")
    assert size is not None
    assert 7985 <= size.usable_mib < size.memory_mib


def test_arm_processors() -> None:
    arm = ["a1.large", "t4g.small", "m6g.xlarge", "c7gn.xlarge", "r6gd.large", "g5g.xlarge"]
    x86 = ["m5.xlarge", "g4dn.xlarge", "g5.xlarge", "m7i-flex.large", "r5b.large"]
    assert [name for name in arm + x86 if is_arm(name)] == arm
