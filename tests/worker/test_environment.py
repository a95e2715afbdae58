"""The task's environment, ours and DCP's."""

from __future__ import annotations

from pathlib import Path

import pytest

from chalicelib import contract
from worker.environment import Environment, EnvironmentProblems

DCP = {
    "AWS_REGION": "us-east-1",
    "APP_NAME": "App",
    "SQS_QUEUE_URL": "https://queue",
    "AWS_BUCKET": "bucket",
    "DOCKER_CORES": "4",
    "LOG_GROUP_NAME": "App",
    "CHECK_IF_DONE_BOOL": "True",
    "EXPECTED_NUMBER_FILES": "7",
    "SECONDS_TO_START": "180",
    "MIN_FILE_SIZE_BYTES": "1",
    "USE_PLUGINS": "False",
    "NECESSARY_STRING": "",
    "DOWNLOAD_FILES": "False",
    "ALWAYS_CONTINUE": "true",
    "SOURCE_BUCKET": "source",
    "DESTINATION_BUCKET": "False",
    "UPLOAD_FLAGS": "",
}


def test_dcp_s_environment_is_understood() -> None:
    environment = Environment.read(DCP)
    assert environment.slots == 4
    assert environment.seconds_to_start == 180
    assert (environment.check_if_done, environment.expected_files) == (True, 7)
    assert environment.always_continue
    assert environment.source_bucket == environment.workspace_bucket == "source"
    assert environment.destination_bucket == "bucket"
    assert environment.mount == Path("/home/ubuntu/bucket")
    assert (environment.run, environment.state_bucket, environment.job_retries) == ("", "", 0)
    assert environment.upload_arguments == {}
    assert environment.engine == "warm"


def test_ours_is_added() -> None:
    environment = Environment.read(
        {
            **DCP,
            contract.ENV_RUN: "App-1",
            contract.ENV_JOB_RETRIES: "3",
            contract.ENV_UPLOAD_ARGUMENTS: '{"ACL": "bucket-owner-full-control"}',
            contract.ENV_ROOT: "/srv",
            contract.ENV_HOST_DIR: "/host",
            contract.ENV_ENGINE: "cli",
        }
    )
    assert environment.run == "App-1"
    assert environment.upload_arguments == {"ACL": "bucket-owner-full-control"}
    assert environment.mount == Path("/srv/bucket")
    assert environment.host_dir == Path("/host")
    assert environment.engine == "cli"


def test_dcp_s_upload_flags_are_translated() -> None:
    flags = "--acl bucket-owner-full-control --metadata-directive REPLACE --sse=AES256"
    environment = Environment.read({**DCP, "UPLOAD_FLAGS": flags})
    assert environment.upload_arguments == {
        "ACL": "bucket-owner-full-control",
        "ServerSideEncryption": "AES256",
    }


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(EnvironmentProblems) as caught:
        Environment.read(
            {
                "DOCKER_CORES": "four",
                "SECONDS_TO_START": "soon",
                "UPLOAD_FLAGS": "--recursive yes",
                "AWS_BUCKET": "b",
                contract.ENV_ENGINE: "hot",
            }
        )
    text = str(caught.value)
    assert "SQS_QUEUE_URL is not set" in text
    assert "DOCKER_CORES is 'four', expected a whole number" in text
    assert "SECONDS_TO_START is 'soon'" in text
    assert "CELLFLEET_ENGINE is 'hot', expected 'warm' or 'cli'" in text
    assert "'--recursive yes' is not understood" in text


@pytest.mark.parametrize(
    ("expected", "timeout"), [("60", 2 * 3600), ("3600", 36000), ("14400", 11.5 * 3600)]
)
def test_a_job_hangs_after_ten_times_what_is_expected(expected: str, timeout: float) -> None:
    environment = Environment.read({**DCP, contract.ENV_EXPECTED_SECONDS: expected})
    assert environment.job_timeout == timeout
