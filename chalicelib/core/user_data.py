"""What a machine does when it boots, before the ECS agent starts: shell text, nothing fetched."""

from __future__ import annotations

import json

from chalicelib import contract
from chalicelib.core.compute import HOST_FOLDER, WorkerKind
from chalicelib.core.host_watch import UNIT, WATCH, watch_script
from chalicelib.core.naming import RUN_ATTRIBUTE

#: EC2's limit for user data, before base64.
MAX_BYTES = 16 * 1024
_SERVICE = "cellfleet-watch"


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


def user_data(*, cluster: str, run_id: str, kind: WorkerKind) -> str:
    """The boot script. The names in it are validated (no shell characters can occur), and the
    quoted here-documents keep the shell from reading them anyway.

    The dead man's switch comes first: whatever fails after it, the machine will end.
    """
    config = ecs_config(cluster=cluster, run_id=run_id)
    return "\n".join(
        [
            "#!/bin/bash",
            "set -u",
            f"mkdir -p {HOST_FOLDER} /usr/local/sbin",
            f"chmod 1777 {HOST_FOLDER}",
            # What a machine that became an image left behind.
            f"rm -f {HOST_FOLDER}/{contract.HOST_SPOT_NOTICE}",
            # Workers, which aren't root, touch it at every sign of life.
            f"touch {HOST_FOLDER}/{contract.HOST_ALIVE}",
            f"chmod 0666 {HOST_FOLDER}/{contract.HOST_ALIVE}",
            *_file(WATCH, watch_script(kind)),
            "if [ -d /run/systemd/system ]; then",
            *_file(f"/etc/systemd/system/{_SERVICE}.service", UNIT),
            "systemctl daemon-reload",
            f"systemctl enable --now --no-block {_SERVICE}",
            "else",
            f"setsid sh -c 'while :; do sh {WATCH}; sleep 5; done' < /dev/null > /dev/null 2>&1 &",
            "fi",
            *_file("/etc/ecs/ecs.config", config),
            "",
        ]
    )


def _file(path: str, text: str) -> list[str]:
    return [f"cat > {path} <<'CELLFLEET'", text + "CELLFLEET"]
