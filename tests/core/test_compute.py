"""What runs on the machines: the task definition, its environment, the service."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from chalicelib.core import compute
from chalicelib.core.compute import WorkerKind, choose_worker, image_version
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names, tags
from chalicelib.settings import Settings
from tests.core.factories import (
    BARE,
    DEPLOYMENT,
    GOLDEN,
    PREPARED,
    config,
    example,
    queue_url,
    task_arn,
)
from tests.core.goldens import hold_json

#: In DCP's order, written down here again: the worker images out there won't change.
DCP_NAMES = [
    "AWS_REGION",
    "APP_NAME",
    "SQS_QUEUE_URL",
    "AWS_BUCKET",
    "DOCKER_CORES",
    "LOG_GROUP_NAME",
    "CHECK_IF_DONE_BOOL",
    "EXPECTED_NUMBER_FILES",
    "ECS_CLUSTER",
    "SECONDS_TO_START",
    "MIN_FILE_SIZE_BYTES",
    "USE_PLUGINS",
    "NECESSARY_STRING",
    "DOWNLOAD_FILES",
    "ALWAYS_CONTINUE",
    "SOURCE_BUCKET",
    "DESTINATION_BUCKET",
    "WORKSPACE_BUCKET",
    "UPLOAD_FLAGS",
]
PLUGIN_NAMES = ["UPDATE_PLUGINS", "PLUGINS_COMMIT", "INSTALL_REQUIREMENTS", "REQUIREMENTS"]
OUR_NAMES = [
    "CELLFLEET_RUN_ID",
    "CELLFLEET_BUCKET",
    "CELLFLEET_DEAD_LETTER_URL",
    "CELLFLEET_JOB_RETRIES",
    "CELLFLEET_EXPECTED_SECONDS",
    "CELLFLEET_UPLOAD_ARGUMENTS",
    "CELLFLEET_DISK_GB",
    "CELLFLEET_HOST_DIR",
    "CELLFLEET_ENGINE",
]

DCP_TAG = "cellprofiler/distributed-cellprofiler:2.2.0_4.2.8"
OUR_TAG = PREPARED.worker_image


def environment(settings: RunConfig, kind: WorkerKind = "cellfleet") -> dict[str, str]:
    return compute.task_environment(
        settings,
        kind=kind,
        run_id=f"{settings.app_name}-1",
        deployment=DEPLOYMENT,
        queue_url=queue_url(settings.sqs_queue_name),
        dead_letter_url=queue_url(settings.sqs_dead_letter_queue),
    )


def definition(
    settings: RunConfig, account: Settings, kind: WorkerKind, image: str
) -> dict[str, Any]:
    return compute.task_definition(
        settings,
        account,
        kind=kind,
        image=image,
        environment=environment(settings, kind),
        tags=owner(settings),
    )


def owner(settings: RunConfig) -> dict[str, str]:
    app = settings.app_name
    return tags(app=app, run_id=f"{app}-1", deployment=DEPLOYMENT)


@pytest.mark.parametrize("account", [BARE, PREPARED], ids=["dcp", "cellfleet"])
@pytest.mark.parametrize("number", [1, 2])
def test_what_ecs_is_sent(number: int, account: Settings, request: pytest.FixtureRequest) -> None:
    settings = example(number)
    kind, image, told = choose_worker(settings, account)
    assert kind in request.node.callspec.id
    found = {
        "told": told,
        "jobs at once on a machine": settings.slots_per_machine,
        "RegisterTaskDefinition": definition(settings, account, kind, image),
        "CreateService": compute.service(
            settings,
            run_id=f"{settings.app_name}-1",
            task_definition_arn=task_arn(Names.of(settings).task_family),
            tags=owner(settings),
        ),
    }
    hold_json(f"compute/example_{number}.{kind}.json", found)


@pytest.mark.parametrize(("number", "slots"), [(1, 16 * 4), (2, 1 * 4)])
def test_the_examples_run_as_many_jobs_at_once_as_the_manual_says(number: int, slots: int) -> None:
    assert example(number).slots_per_machine == slots


# --- the environment -----------------------------------------------------------------------------


def test_a_dcp_image_gets_dcps_names_in_dcps_order_and_no_others() -> None:
    assert list(environment(config(), "dcp")) == DCP_NAMES


def test_with_plugins_it_gets_their_names_too() -> None:
    assert list(environment(config(USE_PLUGINS="True"), "dcp")) == DCP_NAMES + PLUGIN_NAMES


@pytest.mark.parametrize(("plugins", "more"), [("False", []), ("True", PLUGIN_NAMES)])
def test_a_cellfleet_worker_gets_all_of_that_and_then_ours(plugins: str, more: list[str]) -> None:
    found = list(environment(config(USE_PLUGINS=plugins), "cellfleet"))
    assert found == DCP_NAMES + more + OUR_NAMES


def test_values_are_text_as_dcps_workers_compare_it() -> None:
    found = environment(
        config(
            USE_PLUGINS=True,
            CHECK_IF_DONE_BOOL="TRUE",
            DOWNLOAD_FILES="false",
            DOCKER_CORES=3,
            SECONDS_TO_START="90",
            UPDATE_PLUGINS=True,
        ),
        "dcp",
    )
    assert all(isinstance(value, str) for value in found.values())
    assert (found["USE_PLUGINS"], found["UPDATE_PLUGINS"]) == ("True", "True")
    assert (found["CHECK_IF_DONE_BOOL"], found["DOWNLOAD_FILES"]) == ("True", "False")
    assert (found["DOCKER_CORES"], found["SECONDS_TO_START"]) == ("3", "90")
    assert (found["NECESSARY_STRING"], found["UPLOAD_FLAGS"]) == ("", "")


def test_no_commit_is_spelt_false() -> None:
    # DCP's start script checks out whatever isn't the text 'False', even nothing, and then exits.
    assert environment(config(USE_PLUGINS="True"), "dcp")["PLUGINS_COMMIT"] == "False"
    chosen = environment(config(USE_PLUGINS="True", PLUGINS_COMMIT="v1.0"), "dcp")
    assert chosen["PLUGINS_COMMIT"] == "v1.0"


def test_buckets_are_resolved_for_the_worker() -> None:
    found = environment(config(AWS_BUCKET="lab", SOURCE_BUCKET="gallery"))
    buckets = ("AWS_BUCKET", "SOURCE_BUCKET", "WORKSPACE_BUCKET", "DESTINATION_BUCKET")
    assert [found[name] for name in buckets] == ["lab", "gallery", "gallery", "lab"]


def test_the_worker_is_told_which_run_it_works_for() -> None:
    settings = config(
        SQS_QUEUE_NAME="Jobs",
        SQS_DEAD_LETTER_QUEUE="arn:aws:sqs:us-east-1:123456789012:Dead",
        JOB_RETRIES=3,
        SQS_MESSAGE_VISIBILITY=900,
        UPLOAD_FLAGS="--acl bucket-owner-full-control --metadata-directive REPLACE",
        EBS_VOL_SIZE=165,
        TASKS_PER_MACHINE=2,
        MACHINE_TYPE=["m4.16xlarge"],
    )
    found = environment(settings)
    assert found["SQS_QUEUE_URL"] == queue_url("Jobs")
    assert found["UPLOAD_FLAGS"] == "--acl bucket-owner-full-control --metadata-directive REPLACE"
    assert [found[name] for name in OUR_NAMES if name != "CELLFLEET_UPLOAD_ARGUMENTS"] == [
        "Screen-1", DEPLOYMENT, queue_url("Dead"), "3", "900", "80.5", "/cellfleet", "warm",
    ]  # fmt: skip
    assert json.loads(found["CELLFLEET_UPLOAD_ARGUMENTS"]) == {"ACL": "bucket-owner-full-control"}


# --- the task definition -------------------------------------------------------------------------


def test_no_credentials_stand_anywhere() -> None:
    telling = re.compile(
        r"AWS_ACCESS|AWS_SECRET|AWS_SESSION|SECRET_ACCESS|\b(AKIA|ASIA)[A-Z0-9]{8}"
    )
    files = [path for path in GOLDEN.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path.name for path in files if telling.search(path.read_text("utf-8", "replace"))] == []


def test_roles_are_given_where_the_account_has_them() -> None:
    prepared = definition(config(), PREPARED, "cellfleet", OUR_TAG)
    assert prepared["taskRoleArn"] == PREPARED.task_role
    assert prepared["executionRoleArn"] == PREPARED.execution_role
    assert (
        not {"taskRoleArn", "executionRoleArn"} & definition(config(), BARE, "dcp", DCP_TAG).keys()
    )


def test_only_a_dcp_image_is_privileged_and_only_ours_shares_a_folder_with_the_host() -> None:
    dcp = definition(config(), BARE, "dcp", DCP_TAG)
    ours = definition(config(), BARE, "cellfleet", OUR_TAG)
    assert [spec["containerDefinitions"][0]["privileged"] for spec in (dcp, ours)] == [True, False]
    assert "volumes" not in dcp
    assert "mountPoints" not in dcp["containerDefinitions"][0]
    volume, mount = ours["volumes"][0], ours["containerDefinitions"][0]["mountPoints"][0]
    assert volume["name"] == mount["sourceVolume"]
    assert mount["containerPath"] == environment(config())["CELLFLEET_HOST_DIR"]


def test_a_container_may_take_up_to_the_spot_notice_to_stop() -> None:
    # A notice comes 120 s before the end.
    [container] = definition(config(), BARE, "cellfleet", OUR_TAG)["containerDefinitions"]
    assert 60 < container["stopTimeout"] < 120


def test_the_fingerprint_sees_every_change_and_nothing_else() -> None:
    spec = definition(config(), BARE, "cellfleet", OUR_TAG)
    turned = dict(reversed(spec.items()))
    assert compute.digest(turned) == compute.digest(spec)
    other = definition(config(MEMORY=15_001), BARE, "cellfleet", OUR_TAG)
    assert compute.digest(other) != compute.digest(spec)


def test_a_service_stays_on_its_own_runs_machines() -> None:
    one, other = (
        compute.service(config(), run_id=run, task_definition_arn="td", tags={})
        for run in ("Screen-1", "Screen-12")
    )
    assert one["placementConstraints"] == [
        {"type": "memberOf", "expression": "attribute:cellfleet.run == Screen-1"}
    ]
    assert one["placementConstraints"] != other["placementConstraints"]
    assert one["desiredCount"] == 0


# --- which worker --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worker", "tag", "account_image", "kind", "account_image_runs"),
    [
        ("auto", DCP_TAG, "", "dcp", False),
        ("auto", DCP_TAG, OUR_TAG, "cellfleet", True),
        ("auto", DCP_TAG, f"{OUR_TAG}@sha256:{'0' * 64}", "cellfleet", True),
        # Another CellProfiler would give other measurements.
        ("auto", DCP_TAG, "lab/cellfleet-worker:0.1.0_4.2.6", "dcp", False),
        ("auto", "cellprofiler/distributed-cellprofiler:latest", "lab/w:latest", "dcp", False),
        ("auto", "lab/cellfleet-worker:0.1.0_4.2.8", OUR_TAG, "cellfleet", False),
        ("dcp", DCP_TAG, OUR_TAG, "dcp", False),
        ("dcp", "lab/fork:1_4.2.8", OUR_TAG, "dcp", False),
        ("cellfleet", DCP_TAG, OUR_TAG, "cellfleet", False),
    ],
)
def test_which_worker_runs(
    worker: str, tag: str, account_image: str, kind: str, account_image_runs: bool
) -> None:
    account = Settings(bucket=DEPLOYMENT, region="us-east-1", worker_image=account_image)
    chosen, image, told = choose_worker(config(WORKER=worker, DOCKERHUB_TAG=tag), account)
    assert (chosen, image) == (kind, account_image if account_image_runs else tag)
    # Whoever is surprised by `auto` can read why.
    surprising = worker == "auto" and "distributed-cellprofiler" in tag
    assert (image in told) if surprising else told == ""


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        (DCP_TAG, "4.2.8"),
        (OUR_TAG, "4.2.8"),
        ("lab/worker:0.1.0_4.2.8@sha256:" + "ab" * 32, "4.2.8"),
        ("registry:5000/lab_4/worker", ""),
        ("registry:5000/lab_4/worker:1_4.2.8", "4.2.8"),
        ("lab/worker:latest", ""),
        ("lab/worker_4.2.8", ""),
    ],
)
def test_cellprofilers_version_in_a_tag(tag: str, version: str) -> None:
    assert image_version(tag) == version
    assert config(DOCKERHUB_TAG=tag).image_version == version
