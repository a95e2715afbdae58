"""What runs on the machines: which worker, its task definition, its service. Pure dicts.

The environment is a superset of DCP's, so that DCP's published images run unchanged.
No credentials ever stand in a task definition; the task role gives them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from chalicelib import contract
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import RUN_ATTRIBUTE, Names
from chalicelib.settings import Settings

#: Where the host's folder for signs of life and the spot notice lies, on the host and inside.
HOST_FOLDER = "/var/lib/cellfleet"
CONTAINER_FOLDER = "/cellfleet"
#: Seconds between SIGTERM and SIGKILL; a spot notice comes 120 s before the end.
STOP_SECONDS = 110

WorkerKind = Literal["cellfleet", "dcp"]


def choose_worker(config: RunConfig, settings: Settings) -> tuple[WorkerKind, str, str]:
    """The worker's kind, its image, and a sentence that says which and why ("" if plain).

    `auto`: a DCP image runs as `dcp`, unless the account names a CellFleet image of the same
    CellProfiler version (what follows the last "_" of the tag).
    """
    tag, ours = config.dockerhub_tag, settings.worker_image
    if config.worker == "dcp":
        return "dcp", tag, ""
    if config.worker == "cellfleet":
        return "cellfleet", tag, ""
    if "distributed-cellprofiler" not in tag:
        return "cellfleet", tag, ""
    if ours and config.image_version and image_version(ours) == config.image_version:
        return (
            "cellfleet",
            ours,
            f"{tag} is a DCP image; the account's CellFleet image of the same CellProfiler, "
            f"{ours}, runs instead (WORKER = 'dcp' keeps the DCP image)",
        )
    return "dcp", tag, f"{tag} is a DCP image and runs as one: no ledger, no checks of results"


def image_version(tag: str) -> str:
    """CellProfiler's version in an image tag: `…:2.2.1_4.2.8` gives "4.2.8"; "" if none."""
    # A registry may have a port, and a digest may follow the tag.
    name = tag.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return name.rpartition("_")[2] if "_" in name else ""


def task_environment(
    config: RunConfig,
    *,
    kind: WorkerKind,
    run_id: str,
    deployment: str,
    queue_url: str,
    dead_letter_url: str,
) -> dict[str, str]:
    """The container's environment, DCP's names first and in DCP's order."""
    keys = {key: _as_dcp(value) for key, value in config.to_keys().items()}
    keys["SQS_QUEUE_URL"] = queue_url
    # DCP's start script would check out an empty name, fail, and end.
    keys["PLUGINS_COMMIT"] = config.plugins_commit or "False"
    names = list(contract.DCP_ENVIRONMENT)
    if config.use_plugins:
        names += contract.DCP_PLUGIN_ENVIRONMENT
    environment = {name: keys[name] for name in names}
    if kind == "cellfleet":
        environment |= {
            contract.ENV_RUN: run_id,
            contract.ENV_STATE_BUCKET: deployment,
            contract.ENV_DEAD_LETTER_URL: dead_letter_url,
            contract.ENV_JOB_RETRIES: str(config.job_retries),
            contract.ENV_EXPECTED_SECONDS: str(config.sqs_message_visibility),
            contract.ENV_UPLOAD_ARGUMENTS: json.dumps(config.upload_arguments, sort_keys=True),
            contract.ENV_DISK_GB: f"{config.container_disk_gb:g}",
            contract.ENV_HOST_DIR: CONTAINER_FOLDER,
            contract.ENV_ENGINE: config.engine,
        }
    return environment


def _as_dcp(value: Any) -> str:
    """DCP's workers read text: booleans as 'True' and 'False', nothing as ''."""
    return "" if value is None else str(value)


def task_definition(
    config: RunConfig,
    settings: Settings,
    *,
    kind: WorkerKind,
    image: str,
    environment: Mapping[str, str],
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """The arguments of RegisterTaskDefinition. `memory` is in MiB, `cpu` in 1024ths of a vCPU."""
    names = Names.of(config)
    container: dict[str, Any] = {
        "name": names.app,
        "image": image,
        "cpu": config.cpu_shares,
        "memory": config.memory,
        "essential": True,
        # DCP's image mounts the bucket itself, which takes a privileged container.
        "privileged": kind == "dcp",
        "stopTimeout": STOP_SECONDS,
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": names.instance_log_group,
                "awslogs-region": names.region,
                "awslogs-stream-prefix": names.app,
            },
        },
    }
    spec: dict[str, Any] = {
        "family": names.task_family,
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [container],
        "tags": ecs_tags(tags),
    }
    if kind == "cellfleet":
        container["mountPoints"] = [
            {"sourceVolume": "host", "containerPath": CONTAINER_FOLDER, "readOnly": False}
        ]
        spec["volumes"] = [{"name": "host", "host": {"sourcePath": HOST_FOLDER}}]
    if settings.task_role:
        spec["taskRoleArn"] = settings.task_role
    if settings.execution_role:
        spec["executionRoleArn"] = settings.execution_role
    return spec


def service(
    config: RunConfig, *, run_id: str, task_definition_arn: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments of CreateService, at zero containers: on this run's machines alone."""
    names = Names.of(config)
    return {
        "cluster": names.cluster,
        "serviceName": names.service,
        "taskDefinition": task_definition_arn,
        "desiredCount": 0,
        "launchType": "EC2",
        "schedulingStrategy": "REPLICA",
        "availabilityZoneRebalancing": "DISABLED",
        "deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100},
        "placementConstraints": [on_machines_of(run_id)],
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "tags": ecs_tags(tags),
        "propagateTags": "SERVICE",
    }


def on_machines_of(run_id: str) -> dict[str, str]:
    """The placement constraint that keeps a run's containers on its own machines."""
    return {"type": "memberOf", "expression": f"attribute:{RUN_ATTRIBUTE} == {run_id}"}


def ecs_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """ECS spells tags in lower case."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def ec2_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """EC2 spells them in upper case."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def digest(spec: Mapping[str, Any]) -> str:
    """A short fingerprint of a spec, to see whether it changed."""
    text = json.dumps(spec, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
