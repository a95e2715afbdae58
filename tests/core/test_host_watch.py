"""The dead man's switch, run on a machine whose clocks, agent and workers the tests play."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chalicelib import contract
from chalicelib.core.compute import WorkerKind
from chalicelib.core.host_watch import QUIET_SECONDS
from tests.core.machine import Machine, kind_of_machine

MINUTE = 60
QUARTER = 15 * MINUTE
Build = Callable[..., Machine]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    machines: list[Machine] = []

    def build(**options: object) -> Machine:
        folder = tmp_path / f"machine-{len(machines)}"
        machine = Machine(folder, **options)  # type: ignore[arg-type]
        machines.append(machine)
        machine.boot()
        return machine

    print(f"the script runs in a {kind_of_machine()} machine")
    yield build
    for machine in machines:
        machine.close()


@pytest.fixture
def machine(build: Build) -> Machine:
    return build()


def work(machine: Machine, minutes: int) -> None:
    """A worker leaves a sign each minute, as its heartbeat does; then it leaves none."""
    for _ in range(minutes):
        machine.wait(MINUTE)
        machine.sign()
        machine.look()
    assert not machine.is_off


def test_a_working_machine_misses_many_heartbeats_before_it_goes() -> None:
    assert QUIET_SECONDS == QUARTER
    assert contract.LEASE_SECONDS * 5 < QUIET_SECONDS


# --- no sign of work ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", sorted({"plain", kind_of_machine()}))
@pytest.mark.parametrize(("kind", "shell"), [("cellfleet", "sh"), ("dcp", "bash")])
def test_a_machine_without_work_goes_15_minutes_after_boot(
    kind: WorkerKind, shell: str, how: str, build: Build
) -> None:
    machine = build(kind=kind, shell=shell, how=how)
    assert machine.off_after(every=MINUTE) == QUARTER
    assert machine.calls[-1] == "shutdown -h now"


def test_it_stays_while_signs_come_and_goes_15_minutes_after_the_last(machine: Machine) -> None:
    work(machine, minutes=20)
    machine.answer("agent", "tasks", {"Tasks": [{"Arn": "arn:task"}]})
    machine.containers(c1=1)
    machine.look()
    assert machine.off_after() == QUARTER


def test_a_sign_in_the_last_minute_keeps_it(machine: Machine) -> None:
    for _ in range(3):
        assert machine.off_after(limit=QUARTER - MINUTE, every=7 * MINUTE) is None
        machine.wait(50)
        machine.sign()
        machine.wait(10)


def test_a_power_off_that_fails_is_forced_and_tried_again(machine: Machine) -> None:
    (machine.folder / "shutdown-code").write_text("1")
    machine.off_after()
    machine.wait(MINUTE)
    machine.look()
    assert (
        machine.calls[-4:]
        == [
            "shutdown -h now",
            "systemctl poweroff --force --force",
        ]
        * 2
    )


# --- the wall clock ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-7 * 86400, -1, QUARTER, 7 * 86400])
def test_a_clock_that_is_set_changes_nothing_for_an_idle_machine(
    step: int, machine: Machine
) -> None:
    work(machine, minutes=3)
    machine.wait(5 * MINUTE)
    machine.look()
    machine.set_clock(step)
    assert machine.off_after() == 10 * MINUTE


@pytest.mark.parametrize("step", [-QUARTER, 7 * 86400])
def test_a_clock_that_is_set_changes_nothing_for_a_busy_machine(
    step: int, machine: Machine
) -> None:
    work(machine, minutes=3)
    machine.set_clock(step)
    work(machine, minutes=20)
    assert machine.off_after() == QUARTER


@pytest.mark.parametrize(("step", "left"), [(7 * 86400, 13 * MINUTE), (-7 * 86400, QUARTER)])
def test_a_clock_set_right_before_the_first_look_neither_kills_nor_keeps_it(
    step: int, left: int, machine: Machine
) -> None:
    machine.wait(2 * MINUTE)
    machine.set_clock(step)
    assert machine.off_after(every=MINUTE) == left


def test_a_memory_that_outlives_a_reboot_keeps_it_no_longer(machine: Machine) -> None:
    work(machine, minutes=3)
    machine.wait(10 * 3600 - 3 * MINUTE)
    machine.sign()
    machine.look()
    machine.wait(-10 * 3600)
    assert machine.off_after() == QUARTER


# --- what can be lost on the machine -------------------------------------------------------------


def test_a_deleted_mark_is_made_anew_and_is_no_sign(machine: Machine) -> None:
    work(machine, minutes=3)
    machine.alive.unlink()
    assert machine.off_after() == QUARTER
    assert machine.alive.stat().st_mode & 0o777 == 0o666


def test_a_mark_made_anew_takes_signs(machine: Machine) -> None:
    machine.alive.unlink()
    machine.wait(MINUTE)
    machine.look()
    work(machine, minutes=20)


def test_a_link_in_the_marks_place_leads_nowhere(machine: Machine, tmp_path: Path) -> None:
    """A container that is root could put it there."""
    secret = tmp_path / "secret"
    secret.write_text("keep")
    secret.chmod(0o600)
    machine.alive.unlink()
    machine.alive.symlink_to(secret)
    (machine.shared / "spot-notice").symlink_to(tmp_path / "made")
    announce(machine)
    machine.loop(sleeps=3)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.read_text() == "keep"
    assert not (tmp_path / "made").exists()
    assert '"terminate"' in machine.notice.read_text()


def lose_all(state: Path) -> None:
    for path in state.iterdir():
        path.unlink()


def empty_all(state: Path) -> None:
    for path in state.iterdir():
        path.write_text("")


def spoil_all(state: Path) -> None:
    for path in state.iterdir():
        path.write_text("x 1 $(reboot)\n")


@pytest.mark.parametrize("harm", [lose_all, empty_all])
def test_an_idle_machine_goes_in_time_though_its_memory_is_lost(
    harm: Callable[[Path], None], machine: Machine
) -> None:
    work(machine, minutes=3)
    machine.wait(10 * MINUTE)
    machine.look()
    harm(machine.folder / "run/cellfleet-watch")
    assert machine.off_after() == 5 * MINUTE


@pytest.mark.parametrize("harm", [lose_all, empty_all, spoil_all])
def test_a_busy_machine_stays_though_its_memory_is_lost(
    harm: Callable[[Path], None], machine: Machine
) -> None:
    work(machine, minutes=16)
    harm(machine.folder / "run/cellfleet-watch")
    work(machine, minutes=5)


def test_a_machine_that_cannot_remember_goes_all_the_same(machine: Machine) -> None:
    """A full /run: every file it would keep can't be made."""
    state = machine.folder / "run/cellfleet-watch"
    state.write_text("in the folder's place")
    machine.containers(c1=1)
    machine.complains = True
    assert machine.off_after() == QUARTER


# --- images are fetched --------------------------------------------------------------------------


def test_an_image_may_take_half_an_hour_to_fetch(machine: Machine) -> None:
    machine.answer("agent", "tasks", {"Tasks": [{"Arn": "arn:task", "KnownStatus": "PENDING"}]})
    assert machine.off_after() == 30 * MINUTE


def test_the_first_container_is_a_sign_and_the_others_are_none(machine: Machine) -> None:
    machine.answer("agent", "tasks", {"Tasks": [{"Arn": "arn:task"}]})
    assert machine.off_after(limit=20 * MINUTE, every=10 * MINUTE) is None
    machine.containers(c1=1)
    machine.look()
    machine.wait(10 * MINUTE)
    machine.look()
    machine.containers(c2=1)  # ECS restarts what ends
    assert machine.off_after() == 5 * MINUTE
    asked = (machine.folder / "asked").read_text()
    assert "label=com.amazonaws.ecs.task-arn" in asked


# --- the agent -----------------------------------------------------------------------------------


def test_it_goes_15_minutes_after_the_agents_last_answer(machine: Machine) -> None:
    work(machine, minutes=3)
    machine.lose("agent")
    work(machine, minutes=14)
    machine.wait(MINUTE)
    machine.sign()
    said = machine.look()
    assert machine.is_off
    assert "agent" in said


def test_an_agent_that_comes_back_in_time_keeps_it(machine: Machine) -> None:
    for _ in range(2):
        machine.lose("agent")
        work(machine, minutes=14)
        machine.find("agent")
        work(machine, minutes=2)


# --- DCP's workers, which leave no signs --------------------------------------------------------


def compute(machine: Machine, minutes: int, seconds: float, started: float = 0.0) -> float:
    """A container uses that many seconds of CPU time each minute; what it has used then."""
    used = started
    for _ in range(minutes):
        machine.wait(MINUTE)
        used += seconds
        machine.containers(c1=used)
        machine.look()
    return used


def test_dcps_workers_keep_it_by_computing(build: Build) -> None:
    machine = build(kind="dcp")
    compute(machine, minutes=20, seconds=2.5)  # 1 % of four cores is 2.4 s a minute
    assert not machine.is_off
    assert machine.off_after() == QUARTER


def test_less_than_1_percent_is_no_sign(build: Build) -> None:
    machine = build(kind="dcp")
    machine.containers(c1=50)
    machine.look()  # the first container is one
    used = compute(machine, minutes=14, seconds=2.3, started=50)
    assert not machine.is_off
    compute(machine, minutes=1, seconds=2.3, started=used)
    assert machine.is_off


def test_one_busy_core_keeps_a_large_machine(build: Build) -> None:
    machine = build(kind="dcp")
    (machine.folder / "cores").write_text("192")
    compute(machine, minutes=16, seconds=50)
    assert not machine.is_off


def test_containers_that_start_again_and_again_are_no_sign(build: Build) -> None:
    machine = build(kind="dcp")
    machine.containers(c0=30)
    machine.look()
    for number in range(1, 16):
        assert not machine.is_off
        machine.wait(MINUTE)
        machine.containers(**{f"c{number}": 30})
        machine.look()
    assert machine.is_off


def test_control_groups_of_version_1(build: Build) -> None:
    machine = build(kind="dcp")
    (machine.folder / "containers").write_text("c1\n")
    for controller in ("memory", "cpu,cpuacct"):
        (machine.folder / "cgroup" / controller / "ecs/7/c1").mkdir(parents=True)
    group = machine.folder / "cgroup/cpu,cpuacct/ecs/7/c1"
    (group / "cpu.stat").write_text("nr_periods 0\n")
    for minute in range(16):
        machine.wait(MINUTE)
        (group / "cpuacct.usage").write_text(f"{minute * 2_500_000_000}\n")
        machine.look()
    assert not machine.is_off
    assert machine.off_after() == QUARTER


# --- the service ---------------------------------------------------------------------------------


def announce(machine: Machine) -> None:
    """AWS wants the machine back."""
    machine.answer("metadata", "instance-action", NOTICE)


NOTICE = '{"action": "terminate", "time": "2026-03-01T08:22:00Z"}'


def test_the_service_looks_for_life_each_minute_for_ever_and_outlives_a_kill(
    machine: Machine,
) -> None:
    for _ in range(5):
        machine.loop(sleeps=24)
    assert not machine.is_off
    machine.loop(sleeps=64)
    assert machine.calls[-1] == "shutdown -h now"


def test_a_notice_is_passed_on_once_and_whole(machine: Machine) -> None:
    (machine.folder / "then-3").write_text(
        f"printf '200\\n%s' '{NOTICE}' > {machine.folder}/services/metadata/instance-action"
    )
    said = machine.loop(sleeps=12)
    assert machine.notice.read_text() == NOTICE + "\n"
    assert said.count("passed on") == 1
    assert machine.notice.stat().st_mode & 0o444 == 0o444
    requests = (machine.folder / "requests").read_text()
    # A token lasts; the notice is asked for every five seconds, and not any more once it came.
    assert requests.count("PUT /latest/api/token 200") == 1
    assert requests.count("spot/instance-action 404") == 3
    assert requests.count("spot/instance-action 200") == 1


def test_without_a_notice_there_is_no_file_and_nothing_is_said(machine: Machine) -> None:
    assert machine.loop(sleeps=30) == ""
    assert sorted(path.name for path in machine.shared.iterdir()) == ["alive"]


@pytest.mark.parametrize("trouble", ["gone", "error", "cut off", "empty", "token refused"])
def test_a_metadata_service_in_trouble_is_asked_again(trouble: str, machine: Machine) -> None:
    service = machine.folder / "services/metadata"
    repair = {
        "gone": f"mv {machine.folder}/lost-metadata {service}",
        "error": f"printf '200\\n%s' '{NOTICE}' > {service}/instance-action",
        "empty": f"printf '200\\n%s' '{NOTICE}' > {service}/instance-action",
        "cut off": f"rm {service}/cut-off",
        "token refused": f"printf '200\\nnewer' > {service}/token",
    }[trouble]
    announce(machine)
    if trouble == "gone":
        machine.lose("metadata")
    elif trouble == "error":
        machine.answer("metadata", "instance-action", "busy {}", status=503)
    elif trouble == "empty":
        machine.answer("metadata", "instance-action", "")
    elif trouble == "cut off":
        (service / "cut-off").touch()
    else:
        (service / "good-token").write_text("newer")
    (machine.folder / "then-4").write_text(f"[ ! -e {machine.notice} ] || exit\n{repair}\n")
    machine.loop(sleeps=7)
    assert machine.notice.read_text() == NOTICE + "\n"


def test_a_token_that_ran_out_is_replaced(machine: Machine) -> None:
    service = machine.folder / "services/metadata"
    (machine.folder / "then-2").write_text(
        f"printf newer > {service}/good-token; printf '200\\nnewer' > {service}/token\n"
        f"printf '200\\n%s' '{NOTICE}' > {service}/instance-action\n"
    )
    machine.loop(sleeps=5)
    assert machine.notice.read_text() == NOTICE + "\n"


def test_a_notice_gets_through_a_full_disk(machine: Machine) -> None:
    machine.loop(sleeps=1)
    # Nothing can be written there any more.
    (machine.folder / "lib/cellfleet-watch/notice").symlink_to("/dev/full")
    announce(machine)
    machine.complains = True
    machine.loop(sleeps=2)
    assert '"action"' in machine.notice.read_text()


# --- the boot ------------------------------------------------------------------------------------


def test_the_boot_starts_the_service(machine: Machine) -> None:
    assert machine.calls == [
        "systemctl daemon-reload",
        "systemctl enable --now --no-block cellfleet-watch",
    ]
    unit = (machine.folder / "etc/systemd/system/cellfleet-watch.service").read_text()
    assert "Restart=always" in unit
    assert "ECS_CLUSTER=imaging\n" in (machine.folder / "etc/ecs/ecs.config").read_text()


def test_what_an_earlier_life_left_in_the_image_is_forgotten(machine: Machine) -> None:
    machine.notice.write_text(NOTICE)
    machine.boot()
    assert not machine.notice.exists()


def test_without_systemd_a_loop_keeps_it_running(build: Build) -> None:
    machine = build(kind="dcp")
    (machine.folder / "run/systemd/system").rmdir()
    (machine.folder / "sleeps").write_text("100")
    machine.wait(13 * MINUTE)
    machine.boot()
    machine.run("sh", "-c", f"until [ -e {machine.folder}/off ]; do /bin/sleep 0.1; done")
    assert machine.is_off
