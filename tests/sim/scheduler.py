"""How ECS keeps a service's containers: places, restarts, drains, and picks victims."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tests.sim.worker import Task

if TYPE_CHECKING:
    from tests.sim.ecs import ECS, Host, Service
    from tests.sim.world import World

#: Seconds between two looks at all services.
_LOOK = 15.0


class Scheduler:
    def __init__(self, world: World, ecs: ECS):
        self._world = world
        self._ecs = ecs
        #: Tasks that ended lately.
        self.stopped: deque[Task] = deque(maxlen=30)
        #: Tasks that ECS stopped while they held a job: nobody's doing but ours.
        self.broken_off: list[Task] = []
        self._placed = 0
        world.time.every(_LOOK, self._look)

    def _look(self) -> None:
        for service in list(self._ecs.services.values()):
            if service.status == "INACTIVE":
                continue
            mine = [task for task in self._ecs.tasks if task.service is service]
            for task in mine:
                # Protection keeps a task that works; on a machine that drains, too.
                if task.host.status == "DRAINING" and not task.protected:
                    self._stop(task, "the machine drains")
            self._keep_count(service)

    def _keep_count(self, service: Service) -> None:
        mine = [t for t in self._ecs.tasks if t.service is service and not t.stopping]
        surplus = len(mine) - service.desired
        if surplus > 0:
            free = [task for task in mine if not task.protected]
            self._world.chance.shuffle(free)
            for task in free[:surplus]:
                self._stop(task, "scaled in")
        elif service.status == "ACTIVE":
            for _ in range(-surplus):
                host = self._place(service)
                if host is None:
                    break
                self._placed += 1
                task = Task(self._world, service, host, self._placed)
                self._ecs.tasks.append(task)
                task.begin()

    def _place(self, service: Service) -> Host | None:
        """The machine with the fewest containers among those that match and have room."""
        wanted = service.attribute
        fit = [
            (sum(task.host is host for task in self._ecs.tasks), host.arn, host)
            for host in self._ecs.hosts.values()
            if host.cluster == service.cluster
            and host.status == "ACTIVE"
            and host.connected
            and (wanted is None or host.attributes.get(wanted[0]) == wanted[1])
        ]
        roomy = [found for found in fit if found[0] < self._world.laws.room]
        return min(roomy)[2] if roomy else None

    def leave(self, service: Service) -> None:
        """A service that is deleted stops all its containers, and is INACTIVE in the end."""
        for task in [t for t in self._ecs.tasks if t.service is service]:
            self._stop(task, "the service is deleted")

        def end() -> None:
            if any(task.service is service for task in self._ecs.tasks):
                self._world.time.after(_LOOK, end)
            else:
                service.status = "INACTIVE"

        self._world.time.after(self._world.chance.uniform(5, self._world.laws.drain), end)

    def _stop(self, task: Task, why: str) -> None:
        if not task.stopping:
            if task.busy:
                self.broken_off.append(task)
            task.stop(why)

    def ended(self, task: Task) -> None:
        """A container is gone."""
        if task in self._ecs.tasks:
            self._ecs.tasks.remove(task)
            self.stopped.append(task)
