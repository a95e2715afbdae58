"""The monitor file: DCP's note of what a run consists of, kept for its users and tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.core.config import RunConfig
from chalicelib.core.run import RunRecord
from chalicelib.errors import InputError, Problem


def monitor_file(record: RunRecord, config: RunConfig, fleet_id: str) -> str:
    """DCP's keys, as JSON. The start time is in milliseconds since 1970."""
    started = record.started_at or record.created_at
    return json.dumps(
        {
            "MONITOR_FLEET_ID": fleet_id,
            "MONITOR_APP_NAME": config.app_name,
            "MONITOR_ECS_CLUSTER": config.ecs_cluster,
            "MONITOR_QUEUE_NAME": config.sqs_queue_name,
            "MONITOR_BUCKET_NAME": config.aws_bucket,
            "MONITOR_LOG_GROUP_NAME": config.log_group_name,
            "MONITOR_START_TIME": str(int(started.timestamp() * 1000)),
            "CLEAN_DASHBOARD": str(config.clean_dashboard),
        },
        indent=1,
    )


def app_of_monitor_file(raw: Mapping[str, Any], source: str) -> str:
    """The app that a monitor file is about; names are read, never guessed."""
    app = raw.get("MONITOR_APP_NAME")
    if not isinstance(app, str) or not app:
        raise InputError(
            source,
            [Problem(where="MONITOR_APP_NAME", expected="the name of the app to watch")],
        )
    return app
