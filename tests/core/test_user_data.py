"""What a machine does when it boots."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from chalicelib.core.compute import WorkerKind
from chalicelib.core.host_watch import watch_script
from chalicelib.core.user_data import MAX_BYTES, ecs_config, user_data
from tests.core.factories import RUN
from tests.core.goldens import hold


@pytest.mark.parametrize("kind", ["cellfleet", "dcp"])
def test_the_boot_script(kind: WorkerKind) -> None:
    hold(f"user_data/boot.{kind}.sh", user_data(cluster="imaging", run_id=RUN, kind=kind))


def test_ec2_takes_it() -> None:
    longest = user_data(cluster="c" * 255, run_id="r" * 255, kind="cellfleet")
    assert len(longest.encode()) < MAX_BYTES / 2


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
    places = {"/etc/": "etc", "/var/lib/": "lib", "/usr/local/sbin": "sbin", "/run/systemd": "run"}
    script = user_data(cluster="$(touch hacked)`id`", run_id="$HOME", kind="cellfleet")
    for path, name in places.items():
        script = script.replace(path, f"{tmp_path}/{name}/")
    for folder in ("bin", "etc/ecs", "etc/systemd/system", "run/system"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "bin/systemctl").symlink_to("/bin/true")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    wanted = ecs_config(cluster="$(touch hacked)`id`", run_id="$HOME")
    assert (tmp_path / "etc/ecs/ecs.config").read_text() == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "etc", "lib", "run", "sbin"]
    # Containers run as any user, and each must be able to leave its sign of life.
    host = tmp_path / "lib/cellfleet"
    assert host.stat().st_mode & 0o777 == 0o777
    assert (host / "alive").stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("tool", ["bash", "dash", "sh"])
def test_shells_can_read_what_runs_on_the_machine(tool: str) -> None:
    for script in (watch_script("dcp"), user_data(cluster="imaging", run_id=RUN, kind="dcp")):
        shell = shutil.which(tool) or "sh"
        done = subprocess.run(
            [shell, "-n"], input=script, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
