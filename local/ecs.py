"""The ECS and EC2 stand-in: makes moto's services, fleets and instances behave like AWS's.

It looks at moto's state a few times a second, as the ECS scheduler would, and acts:
instances boot and register, tasks are placed on them as real processes, restarted, drained,
stopped; and what happened is written back, so that the usual API calls show it.
"""

import json
import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends

from chalicelib import contract
from local import counters, moto_ec2, moto_ecs, scheduler
from local.launch import Launcher, size_of
from local.machines import LocalTask, Machine
from local.placement import agent_settings
from local.tasks import TaskKeeper

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """In seconds. `shutdown`: between SIGTERM and SIGKILL on an instance that goes down."""

    poll: float = 0.25
    boot: float = 0.2
    shutdown: float = 5.0
    restart: float = 1.0


class EcsStandIn:
    """Owns machines and tasks. `step` is one look; `start` looks again and again."""

    def __init__(self, launcher: Launcher, *, timing: Timing | None = None):
        self._launcher = launcher
        self._timing = timing or Timing()
        self._keeper = TaskKeeper(restart=self._timing.restart)
        self._machines: dict[str, Machine] = {}
        self._not_ours: set[str] = set()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ecs-stand-in", daemon=True)

    # --- life ------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.wait(self._timing.poll):
            try:
                self.step()
            except Exception:
                log.exception("the ECS stand-in failed; it tries again")

    def hurry(self) -> None:
        """Make a `stop` that is under way, or comes, kill at once."""
        self._hurry.set()

    def stop(self, grace: float) -> None:
        """End all workers: SIGTERM, and what is left after `grace` seconds is killed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        now = time.monotonic()
        with self._lock:
            machines = list(self._machines.values())
            for machine in machines:
                machine.gone = True
                for task in machine.tasks:
                    task.stop(now, "The embedded AWS was stopped")
                    task.kill_at = now + grace
        while any(machine.tasks for machine in machines):
            # Not locked while we wait: workers that end may call the agent once more.
            late = self._hurry.wait(0.05)
            with self._lock:
                for machine in machines:
                    self._keeper.look_after(machine, now + grace if late else time.monotonic())
        self._machines.clear()

    # --- for tests and demonstrations ------------------------------------------------------

    def interrupt(self, instance_id: str, seconds: float = 120.0) -> None:
        """Take a spot instance back: the notice now, the end after `seconds`.

        Raises KeyError for an instance that isn't running here.
        """
        with self._lock:
            machine = self._machines[instance_id]
            machine.terminate_at = time.monotonic() + seconds
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            notice = {"action": "terminate", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
            machine.boot()
            path = machine.host_folder / contract.HOST_SPOT_NOTICE
            path.write_text(json.dumps(notice), encoding="utf-8")
            if machine.registered is not None and machine.settings.spot_draining:
                machine.registered.status = moto_ecs.DRAINING

    def kill(self, instance_id: str) -> None:
        """Lose an instance without notice: kill -9 for all that runs on it.

        Raises KeyError for an instance that isn't running here.
        """
        with self._lock:
            machine = self._machines[instance_id]
            for task in machine.tasks:
                task.container.kill()
            ec2_backends[DEFAULT_ACCOUNT_ID][machine.region].terminate_instances([instance_id])
            self.step()

    def processes(self) -> dict[str, list[int]]:
        """The process ids of the containers on each instance that is up."""
        with self._lock:
            return {
                machine.id: [task.container.pid for task in machine.tasks]
                for machine in self._machines.values()
            }

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way: no machine goes down, no task is being stopped."""
        with self._lock:
            self.step()
            machines = self._machines.values()
            stopping = (task.stopping for machine in machines for task in machine.tasks)
            return not any(machine.gone for machine in machines) and not any(stopping)

    # --- task protection, for the agent's endpoint -----------------------------------------

    def protect(self, task: str, minutes: float) -> str | None:
        with self._lock:
            found = self._task(task)
            if found is None:
                return None
            found.protected_until = time.monotonic() + minutes * 60 if minutes else 0.0
            return str(found.task.task_arn)

    def protected_minutes(self, task: str) -> tuple[str, float] | None:
        with self._lock:
            found = self._task(task)
            if found is None:
                return None
            left = max(0.0, found.protected_until - time.monotonic())
            return str(found.task.task_arn), left / 60

    def _task(self, name: str) -> LocalTask | None:
        tasks = (task for machine in self._machines.values() for task in machine.tasks)
        return next((task for task in tasks if task.id == name), None)

    # --- one look --------------------------------------------------------------------------

    def step(self) -> None:
        """Look once at every region in use, and act."""
        with self._lock:
            for region in list(ecs_backends[DEFAULT_ACCOUNT_ID].keys()):
                self._step(region, time.monotonic())

    def _step(self, region: str, now: float) -> None:
        ecs: Any = ecs_backends[DEFAULT_ACCOUNT_ID][region]
        self._meet_instances(region, now)
        machines = [machine for machine in self._machines.values() if machine.region == region]
        for machine in machines:
            self._register(ecs, machine, now)
            self._keeper.look_after(machine, now)
            self._let_go(ecs, machine, now)
        present = [machine for machine in machines if _is_registered(ecs, machine)]
        for service in list(ecs.services.values()):
            if service.status != moto_ecs.ACTIVE:
                scheduler.close(service, machines, now)
                continue
            scheduler.scale_in(service, present, now)
            scheduler.scale_out(
                ecs,
                service,
                present,
                launcher=self._launcher,
                backoff=self._keeper.backoff(service.arn),
                now=now,
            )
        counters.write(ecs, present)

    def _meet_instances(self, region: str, now: float) -> None:
        ec2: Any = ec2_backends[DEFAULT_ACCOUNT_ID].get(region)
        if ec2 is None:
            return
        for machine in self._machines.values():
            if machine.region == region and now >= (machine.terminate_at or now + 1):
                ec2.terminate_instances([machine.id])
        for instance in ec2.all_instances():
            up = instance.state == "running"
            if instance.id in self._machines:
                self._machines[instance.id].gone |= not up
            elif up and instance.id not in self._not_ours:
                self._meet(region, instance, now)
        moto_ec2.settle_fleets(ec2)

    def _meet(self, region: str, instance: Any, now: float) -> None:
        settings = agent_settings(instance.user_data.decode() if instance.user_data else "")
        if settings is None:
            self._not_ours.add(instance.id)
            return
        self._machines[instance.id] = Machine(
            id=instance.id,
            region=region,
            settings=settings,
            size=size_of(instance.instance_type),
            folder=self._launcher.folder / "machines" / instance.id,
            boots_at=now + self._timing.boot,
        )

    def _register(self, ecs: Any, machine: Machine, now: float) -> None:
        cluster = ecs.clusters.get(machine.settings.cluster)
        waiting = machine.registered is None and not machine.gone and now >= machine.boots_at
        if not waiting or cluster is None or cluster.status != moto_ecs.ACTIVE:
            return
        machine.boot()
        machine.registered = ecs.register_container_instance(cluster.name, machine.id)
        machine.registered.attributes.update(machine.settings.attributes)

    def _let_go(self, ecs: Any, machine: Machine, now: float) -> None:
        """An instance that went down takes its tasks with it, then leaves the cluster."""
        if not machine.gone:
            return
        if machine.registered is not None:
            machine.registered.agent_connected = False
        for task in machine.tasks:
            reason = f"Host EC2 (instance {machine.id}) terminated."
            task.stop(now, reason, seconds=self._timing.shutdown)
        if not machine.tasks:
            listed = ecs.container_instances.get(machine.settings.cluster, {})
            if machine.registered is not None:
                listed.pop(machine.registered.id, None)
            machine.remove()
            del self._machines[machine.id]


def _is_registered(ecs: Any, machine: Machine) -> bool:
    listed = ecs.container_instances.get(machine.settings.cluster, {})
    return machine.registered is not None and machine.registered.id in listed
