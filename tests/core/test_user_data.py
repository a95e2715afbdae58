"""What a machine does when it boots."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from chalicelib.core.user_data import ecs_config, user_data
from tests.core.factories import RUN
from tests.core.goldens import hold


def test_the_boot_script() -> None:
    hold("user_data/boot.sh", user_data(cluster="imaging", run_id=RUN))


def test_the_agents_configuration() -> None:
    hold("user_data/ecs.config", ecs_config(cluster="imaging", run_id=RUN))


def test_the_machine_carries_its_run_as_an_attribute() -> None:
    lines = dict(
        line.split("=", 1) for line in ecs_config(cluster="imaging", run_id=RUN).splitlines()
    )
    assert json.loads(lines["ECS_INSTANCE_ATTRIBUTES"]) == {"cellfleet.run": RUN}
    assert lines["ECS_CLUSTER"] == "imaging"
    # DCP's containers log through awslogs.
    assert json.loads(lines["ECS_AVAILABLE_LOGGING_DRIVERS"]) == ["json-file", "awslogs"]


def test_a_shell_that_runs_it_writes_exactly_that(tmp_path: Path) -> None:
    agent, host = tmp_path / "ecs", tmp_path / "host"
    agent.mkdir()
    script = user_data(cluster="$(touch hacked)`id`", run_id="$HOME")
    script = script.replace("/etc/ecs/", f"{agent}/").replace("/var/lib/cellfleet", str(host))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    wanted = ecs_config(cluster="$(touch hacked)`id`", run_id="$HOME")
    assert (agent / "ecs.config").read_text() == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ecs", "host"]
    # Containers run as any user, and each must be able to leave its sign of life.
    assert host.stat().st_mode & 0o777 == 0o777
    assert (host / "alive").exists()
