"""Configurations and job files as users write them."""

from __future__ import annotations

from typing import Any


def config_keys(app: str = "App", **changes: Any) -> dict[str, Any]:
    """DCP's keys for a small app."""
    return {
        "APP_NAME": app,
        "AWS_BUCKET": "cellfleet-local",
        "DOCKERHUB_TAG": "cellprofiler/distributed-cellprofiler:2.2.1_4.2.8",
        "ECS_CLUSTER": "lab",
        "CLUSTER_MACHINES": 3,
        "TASKS_PER_MACHINE": 1,
        "DOCKER_CORES": 2,
        "SECONDS_TO_START": 1,
        "CPU_SHARES": 2048,
        "MEMORY": 7000,
        "MACHINE_TYPE": ["m5.xlarge"],
        "MACHINE_PRICE": 0.1,
        "SQS_QUEUE_NAME": f"{app}Queue",
        "SQS_MESSAGE_VISIBILITY": 60,
        "SQS_DEAD_LETTER_QUEUE": "lab_DeadMessages",
        "JOB_RETRIES": 3,
        "AUTO_MONITOR": "True",
        "CREATE_DASHBOARD": "True",
        "CLEAN_DASHBOARD": "True",
        **changes,
    }


def job_file(wells: int = 4, **extra: Any) -> dict[str, Any]:
    """A job file of one group a well."""
    return {
        "_comment": "as DCP's",
        "pipeline": "project/analysis.cppipe",
        "data_file": "project/load_data.csv",
        "input": "project/",
        "output": "project/output",
        "output_structure": "Metadata_Plate-Metadata_Well",
        "groups": [
            {"Metadata": f"Metadata_Plate=P1,Metadata_Well={well}"} for well in range(wells)
        ],
        **extra,
    }
