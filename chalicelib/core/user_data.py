"""What a machine does when it boots, before the ECS agent starts: shell text, nothing fetched."""

from __future__ import annotations

import json

from chalicelib.core.compute import HOST_FOLDER
from chalicelib.core.naming import RUN_ATTRIBUTE


def ecs_config(*, cluster: str, run_id: str) -> str:
    """/etc/ecs/ecs.config: which cluster, and the attribute that ties the machine to its run."""
    attributes = json.dumps({RUN_ATTRIBUTE: run_id}, separators=(",", ":"))
    return "\n".join(
        [
            f"ECS_CLUSTER={cluster}",
            'ECS_AVAILABLE_LOGGING_DRIVERS=["json-file","awslogs"]',
            f"ECS_INSTANCE_ATTRIBUTES={attributes}",
            "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
            "ECS_ENABLE_TASK_IAM_ROLE=true",
            "",
        ]
    )


def user_data(*, cluster: str, run_id: str) -> str:
    """The boot script. The names in it are validated (no shell characters can occur), and the
    quoted here-document keeps the shell from reading them anyway."""
    return "\n".join(
        [
            "#!/bin/bash",
            "set -u",
            "cat > /etc/ecs/ecs.config <<'CELLFLEET'",
            ecs_config(cluster=cluster, run_id=run_id) + "CELLFLEET",
            f"mkdir -p {HOST_FOLDER}",
            f"chmod 1777 {HOST_FOLDER}",
            # Workers, which aren't root, touch it at every sign of life.
            f"touch {HOST_FOLDER}/alive",
            f"chmod 0666 {HOST_FOLDER}/alive",
            "",
        ]
    )
