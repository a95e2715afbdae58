"""The machine as tests hold it: they turn its clocks, play its workers and its agent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.core.compute import WorkerKind
from chalicelib.core.host_watch import WATCH
from chalicelib.core.user_data import user_data

_INSIDE = Path(__file__).with_name("inside.py")
_NAMESPACE = (
    "unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child",
)  # fmt: skip
WALL = 1_700_000_000

#: Commands that only write down that they were called, or answer from a file.
_TOOLS = {
    "shutdown": 'echo "shutdown $*" >> {folder}/calls; touch {folder}/off; exit "$(cat {folder}/shutdown-code)"',
    "systemctl": 'echo "systemctl $*" >> {folder}/calls',
    "docker": 'echo "docker $*" >> {folder}/asked; cat {folder}/containers',
    "date": "cat {folder}/wall",
    "nproc": "cat {folder}/cores",
    # Each sleep turns the clock, lets happen what is to happen then, and ends the script when
    # it has slept as often as it should.
    "sleep": """
n=$(($(cat {folder}/slept) + 1)); echo "$n" > {folder}/slept
read -r up _ < {folder}/uptime; echo "$((${{up%%.*}} + $1)).00 1.00" > {folder}/uptime
[ ! -e {folder}/then-$n ] || sh {folder}/then-$n
[ "$n" -lt "$(cat {folder}/sleeps)" ] || kill -9 $PPID""",
}


@cache
def kind_of_machine() -> str:
    """`namespace` where the kernel lets us make one, else `plain`."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "plain"
    script = "mount --bind /etc /run && ip link set lo up && ip address add 169.254.1.1/32 dev lo"
    tried = subprocess.run([*_NAMESPACE, "sh", "-c", script], capture_output=True, check=False)
    return "namespace" if tried.returncode == 0 else "plain"


class Machine:
    """One machine, just booted: `up` seconds ago. `shell` runs its scripts."""

    def __init__(
        self, folder: Path, *, kind: WorkerKind = "cellfleet", shell: str = "sh", how: str = ""
    ):
        self.folder = folder
        self.kind: WorkerKind = kind
        self.shell = shell
        self.up = 0
        self.wall = WALL
        #: Whether scripts may write to stderr.
        self.complains = False
        self.shared = folder / "lib/cellfleet"
        self.alive = self.shared / "alive"
        self.notice = self.shared / "spot-notice"
        self._furnish()
        how = how or kind_of_machine()
        wrapper = _NAMESPACE if how == "namespace" else ()
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-I", str(_INSIDE), str(folder), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": f"{folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        self._replaced: dict[str, str] = self._answer()

    def _furnish(self) -> None:
        for name in (
            "etc/ecs",
            "etc/systemd/system",
            "lib",
            "run/systemd/system",
            "sbin",
            "cgroup",
        ):
            (self.folder / name).mkdir(parents=True)
        for path in ("/etc/hosts", "/etc/ld.so.cache"):
            if os.path.exists(path):
                shutil.copy(path, self.folder / "etc")
        (self.folder / "bin").mkdir()
        for name, text in _TOOLS.items():
            tool = self.folder / "bin" / name
            tool.write_text("#!/bin/sh\n" + text.format(folder=self.folder) + "\n")
            tool.chmod(0o755)
        for name, text in {
            "shutdown-code": "0",
            "containers": "",
            "cores": "4",
            "slept": "0",
        }.items():
            (self.folder / name).write_text(text)
        self._clocks()
        self.answer("agent", "metadata", {"Cluster": "imaging", "ContainerInstanceArn": "arn:x"})
        self.answer("agent", "tasks", {"Tasks": []})
        self.answer("metadata", "token", "fresh")
        (self.folder / "services/metadata/good-token").write_text("fresh")

    def close(self) -> None:
        """End it and all that runs on it."""
        self._process.communicate()

    # --- what runs on it ---------------------------------------------------------------

    def boot(self) -> None:
        """Run the user data, as cloud-init does."""
        self.run(
            "bash", "-c", self._placed(user_data(cluster="imaging", run_id="Run-1", kind=self.kind))
        )
        os.utime(self.alive, (self.wall, self.wall))

    def look(self) -> str:
        """One look at the signs of life; what it says."""
        return self.run(self.shell, self._placed(WATCH), "life")

    def loop(self, sleeps: int) -> str:
        """The service itself, killed when it has slept that often; what it says."""
        (self.folder / "slept").write_text("0")
        (self.folder / "sleeps").write_text(str(sleeps))
        said = self.run(self.shell, self._placed(WATCH), killed=True)
        passed = int((self.folder / "uptime").read_text().partition(".")[0]) - self.up
        self.up, self.wall = self.up + passed, self.wall + passed
        return said

    def run(self, *words: str, killed: bool = False) -> str:
        """Run a command to its end; its output."""
        assert self._process.stdin is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        answer = self._answer()
        assert self.complains or answer["errors"] == ""
        assert answer["code"] == (-9 if killed else 0), answer
        return str(answer["output"])

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def _placed(self, text: str) -> str:
        for found, instead in self._replaced.items():
            text = text.replace(found, instead)
        return text

    # --- what happens to it ------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.up += seconds
        self.wall += seconds
        self._clocks()

    def set_clock(self, seconds: int) -> None:
        """The wall clock is set that much forwards, or back."""
        self.wall += seconds
        self._clocks()

    def _clocks(self) -> None:
        # Written in place: one of them is mounted.
        (self.folder / "uptime").write_text(f"{self.up}.00 1.00\n")
        (self.folder / "wall").write_text(f"{self.wall}\n")

    def sign(self) -> None:
        """A worker leaves a sign of life, as `Path.touch` does."""
        self.alive.touch()
        os.utime(self.alive, (self.wall, self.wall))

    def answer(self, service: str, name: str, body: Any, status: int = 200) -> None:
        """What `metadata` or the `agent` answers from now on."""
        folder = self.folder / "services" / service
        folder.mkdir(parents=True, exist_ok=True)
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        (folder / name).write_text(f"{status}\n{text}")

    def lose(self, service: str) -> None:
        """A service answers no more."""
        (self.folder / "services" / service).rename(self.folder / f"lost-{service}")

    def find(self, service: str) -> None:
        """It does again."""
        (self.folder / f"lost-{service}").rename(self.folder / "services" / service)

    def containers(self, **seconds: float) -> None:
        """The containers there are, and the CPU time they have used, in seconds."""
        (self.folder / "containers").write_text("".join(f"{name}\n" for name in seconds))
        self.use_cpu(seconds)

    def use_cpu(self, seconds: dict[str, float]) -> None:
        """Control groups as ECS has them on Amazon Linux 2023."""
        for name, used in seconds.items():
            task = self.folder / "cgroup/ecstasks.slice/ecstasks-7.slice"
            for group in (task / f"docker-{name}.scope", task / f"docker-{name}.scope/a"):
                group.mkdir(parents=True, exist_ok=True)
                microseconds = int(used * 1e6) if group.name != "a" else 5
                text = f"usage_usec {microseconds}\nuser_usec 1\nsystem_usec 1\n"
                (group / "cpu.stat").write_text(text)

    # --- what became of it ------------------------------------------------------------

    @property
    def calls(self) -> list[str]:
        """What was asked of the machine: to power off, to start services."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def is_off(self) -> bool:
        return any(call.startswith("shutdown") for call in self.calls)

    def off_after(self, limit: int = 7200, every: int = 300) -> int | None:
        """Look now and every so often; after how many seconds it powers off, if it does."""
        started = self.up
        self.look()
        while not self.is_off:
            if self.up - started >= limit:
                return None
            self.wait(every)
            self.look()
        return self.up - started
