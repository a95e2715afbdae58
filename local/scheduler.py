"""What the ECS scheduler does for one service: drain, scale in, place."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from local import counters, moto_ecs
from local.launch import Launcher, needs_of
from local.machines import LocalTask, Machine
from local.placement import Candidate, Place, choose, satisfies, victims
from local.tasks import LONGEST_WAIT, Backoff

log = logging.getLogger(__name__)


def running(service: Any, machines: Iterable[Machine]) -> Iterator[tuple[Machine, LocalTask]]:
    """A service's tasks that nobody has told to stop."""
    for machine in machines:
        for task in machine.tasks:
            if task.service == service.arn and not task.stopping:
                yield machine, task


def close(service: Any, machines: Iterable[Machine], now: float) -> None:
    """A deleted service: stop its tasks; when all have ended, it is no longer draining."""
    left = False
    for machine in machines:
        for task in machine.tasks:
            if task.service == service.arn:
                task.stop(now, "Service was deleted")
                left = True
    if service.status == moto_ecs.DRAINING and not left:
        service.status = moto_ecs.INACTIVE


def scale_in(service: Any, machines: Sequence[Machine], now: float) -> None:
    """Stop unprotected tasks: all on machines that are draining, elsewhere those too many."""
    for machine, task in running(service, machines):
        if machine.registered.status == moto_ecs.DRAINING and now >= task.protected_until:
            task.stop(now, "Container instance is draining")
    left = list(running(service, machines))
    candidates = [
        Candidate(task.id, machine.id, now < task.protected_until, order)
        for order, (machine, task) in enumerate(left)
    ]
    chosen = victims(candidates, len(left) - service.desired_count)
    for _, task in left:
        if task.id in chosen:
            task.stop(now, "Scaling activity initiated by the service")


def scale_out(
    ecs: Any,
    service: Any,
    machines: Sequence[Machine],
    *,
    launcher: Launcher,
    backoff: Backoff,
    now: float,
) -> None:
    """Start the tasks that are missing, where there is room; say so where there is none."""
    missing = service.desired_count - len(list(running(service, machines)))
    if missing <= 0 or now < backoff.not_before:
        return
    try:
        definition = ecs.describe_task_definition(service.task_definition)
        able = _able(service, machines)
        for _ in range(missing):
            machine = _place(service, able, definition)
            if machine is None:
                counters.tell(service, _no_room(len(able)))
                return
            machine.tasks.append(launcher.start(ecs, service, machine, definition, now))
    except Exception as error:
        # One service that can't be served must not stop the others.
        backoff.not_before = now + LONGEST_WAIT
        counters.tell(service, f"was unable to start a task: {error}")
        log.exception("service %s: unable to start a task", service.name)


def _able(service: Any, machines: Sequence[Machine]) -> list[Machine]:
    return [
        machine
        for machine in machines
        if machine.settings.cluster == service.cluster_name
        and machine.registered.status == moto_ecs.ACTIVE
        and not machine.gone
        and satisfies(machine.registered.attributes, service.placement_constraints)
    ]


def _place(service: Any, able: Sequence[Machine], definition: Any) -> Machine | None:
    by_id = {machine.id: machine for machine in able}
    places = [
        Place(machine.id, machine.free, len(list(running(service, [machine])))) for machine in able
    ]
    chosen = choose(places, needs_of(definition))
    return by_id[chosen] if chosen else None


def _no_room(able: int) -> str:
    text = "was unable to place a task because no container instance met all of its requirements"
    return f"{text}: no CPU or memory left on {able}" if able else f"{text}: none matches"
