"""What people do to a run while it goes on: its user, and somebody with a console."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.core.run import EarlyStop, RunRecord
from chalicelib.operations import control
from tests.sim.leftovers import ours_ecs, ours_tags
from tests.sim.world import STATE

if TYPE_CHECKING:
    from tests.sim.history import History
    from tests.sim.scenario import Act


def do(history: History, act: Act) -> None:
    """Do it, now."""
    history.last_act = max(history.last_act, history.world.time.now, act.until)
    if act.what.startswith("delete "):
        _DELETIONS[act.what.removeprefix("delete ")](history)
    else:
        {
            "stop": stop,
            "watch": watch,
            "purge": _purge,
            "corrupt record": lambda h: _spoil(h, act.until, b'{"run_id": '),
            "missing record": lambda h: _spoil(h, act.until, None),
            "lose fleet ids": _lose_fleet_ids,
        }[act.what](history)


def stop(history: History, tries: int = 5) -> None:
    """`run.py stop`, typed again when it failed."""
    app = history.scenario.app
    done = history.invoke("stop", lambda services: control.stop(services, app))
    if done:
        history.stopped = True
    elif tries and any(record.phase != "finished" for record in history.records()):
        history.world.time.after(40.0, lambda: stop(history, tries - 1))


def watch(history: History) -> None:
    """`run.py monitor`: the run may end from now on."""
    app = history.scenario.app
    if history.invoke("watch", lambda services: control.watch(services, app, cheapest=False)):
        history.last_act = max(history.last_act, history.world.time.now)


def look_after(history: History) -> None:
    """The user reads the status now and then: a fleet that was given up is started again, twice,
    and then the run is stopped; so is one whose jobs all fail alike."""
    for record in history.records():
        if record.early_stop is EarlyStop.LIMITED and record.phase == "open":
            history.last_act = max(history.last_act, history.world.time.now)
            stop(history)
        if record.stuck and record.phase == "open":
            history.patience -= 1
            history.last_act = max(history.last_act, history.world.time.now)
            if history.patience > 0:
                history.start()
            else:
                stop(history)


def _purge(history: History) -> None:
    queue = history.world.sqs.queues.get(f"{history.scenario.app}Queue")
    if queue is not None:
        queue.messages.clear()


def _live(history: History) -> list[RunRecord]:
    return [record for record in history.records() if record.phase != "finished"]


def _spoil(history: History, until: float, body: bytes | None) -> None:
    """The record can't be read, until somebody puts the last version back."""
    world = history.world
    for record in _live(history):
        key = f"runs/{record.run_id}/run.json"
        good = world.s3.read(STATE, key)
        assert good is not None
        if body is None:
            world.s3.buckets[STATE].remove(key)
        else:
            world.s3.write(STATE, key, body)

        def mend(key: str = key, good: bytes = good) -> None:
            now = world.s3.read(STATE, key)
            if now is None or now == body:
                world.s3.write(STATE, key, good)

        world.time.at(until, mend)


def _lose_fleet_ids(history: History) -> None:
    """As if the answers to all requests had never arrived."""
    for record in _live(history):
        fleets = tuple(fleet.model_copy(update={"fleet_id": ""}) for fleet in record.fleets)
        lost = record.model_copy(update={"fleets": fleets})
        history.world.s3.write(STATE, f"runs/{record.run_id}/run.json", lost.to_json())


# --- deleted by hand -----------------------------------------------------------------------------


def _queue(history: History, name: str = "AppQueue") -> None:
    sqs = history.world.sqs
    if name in sqs.queues:
        sqs.delete_queue(sqs.queues[name].url)


def _service(history: History) -> None:
    ecs = history.world.ecs
    for (cluster, name), service in list(ecs.services.items()):
        if ours_ecs(service.tags, history.scenario.app) and service.status == "ACTIVE":
            ecs.delete_service(cluster, name, force=True)


def _cluster(history: History) -> None:
    """AWS lets nobody delete a cluster in use: its machines and services go first."""
    world = history.world
    for cluster in world.ecs.clusters.values():
        in_use = any(host.cluster == cluster.name for host in world.ecs.hosts.values())
        if ours_ecs(cluster.tags, history.scenario.app) and not in_use:
            for key, service in list(world.ecs.services.items()):
                if key[0] == cluster.name:
                    for task in [t for t in world.ecs.tasks if t.service is service]:
                        task.kill("deleted by hand")
                    service.status = "INACTIVE"
            cluster.status = "INACTIVE"


def _task_definition(history: History) -> None:
    for definition in history.world.ecs.definitions.values():
        if ours_ecs(definition.spec["tags"], history.scenario.app):
            definition.status = "INACTIVE"


def _launch_template(history: History) -> None:
    templates = history.world.ec2.templates
    for name, template in list(templates.items()):
        if ours_tags(template.tags, history.scenario.app):
            del templates[name]


def _dashboard(history: History) -> None:
    history.world.cloudwatch.dashboards.pop(history.scenario.app, None)


def _fleet(history: History) -> None:
    ec2 = history.world.ec2
    for fleet in ec2.fleets.values():
        if ours_tags(fleet.tags, history.scenario.app):
            ec2.end_fleet(fleet, terminate=True)


def _machine(history: History) -> None:
    world = history.world
    mine = [m for m in world.ec2.there() if ours_tags(m.tags, history.scenario.app)]
    if mine:
        world.ec2.terminate(world.chance.choice(mine))


def _status(history: History) -> None:
    """Deleted, or half of it written by somebody's editor."""
    bucket = history.world.s3.buckets[STATE]
    for record in _live(history):
        key = f"runs/{record.run_id}/status.json"
        if history.world.chance.random() < 0.5:
            bucket.remove(key)
        elif key in bucket.objects:
            history.world.s3.write(STATE, key, json.dumps({"run_id": 1}).encode())


_DELETIONS = {
    "queue": _queue,
    "dead letters": lambda history: _queue(history, "lab_DeadMessages"),
    "service": _service,
    "cluster": _cluster,
    "task definition": _task_definition,
    "launch template": _launch_template,
    "dashboard": _dashboard,
    "fleet": _fleet,
    "machine": _machine,
    "status": _status,
}
