"""What isn't ours in the account: things whose names or tags look like ours, and nothing more.

Nobody may touch them. They are compared with what they were when a history is over.
"""

from __future__ import annotations

import copy
from typing import Any

from chalicelib.core.naming import tags
from tests.sim.ec2 import Fleet, Machine, Template
from tests.sim.ecs import Cluster, Host, Service, TaskDefinition
from tests.sim.sqs import Message, Queue
from tests.sim.timeline import BEGINNING
from tests.sim.watch import Dashboard
from tests.sim.world import World

#: Names that begin, end or continue like App's.
ALIKE = ("App2", "MyApp", "AppQueue", "App_", "app")
#: Another deployment's, an app of our very name among them, and somebody without tags.
OWNERS: tuple[dict[str, str], ...] = (
    tags(app="App2", run_id="App2-20260301T1100000000", deployment="somebody-elses"),
    tags(app="App", run_id="App-20260301T1100000000", deployment="somebody-elses"),
    {},
)


def _ecs(owner: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in owner.items()]


def settle(world: World) -> None:
    """Put them there, before anything of ours."""
    sqs, ecs, ec2 = world.sqs, world.ecs, world.ec2
    for cluster in ("lab2", "lab_"):
        ecs.clusters[cluster] = Cluster(cluster, _ecs(OWNERS[1]))
    ecs.clusters.setdefault("lab", Cluster("lab", []))
    for number, name in enumerate(ALIKE):
        owner = OWNERS[number % len(OWNERS)]
        queue = Queue(f"{name}Queue", {"VisibilityTimeout": "30"}, dict(owner))
        queue.messages[-number] = Message("somebody's", 0.0)
        sqs.queues[queue.name] = queue
        world.cloudwatch.dashboards[name] = Dashboard("{}", dict(owner))
        world.cloudwatch.alarms[f"{name}_i-0{number}"] = {}
        arn = f"arn:aws:ecs:us-east-1:1:task-definition/{name}Task:7"
        ecs.definitions[arn] = TaskDefinition(
            arn,
            {"family": f"{name}Task", "containerDefinitions": [], "tags": _ecs(owner)},
            BEGINNING,
        )
        ecs.services["lab", f"{name}Service"] = Service(
            f"arn:aws:ecs:us-east-1:1:service/lab/{name}Service",
            "lab",
            f"{name}Service",
            0,
            arn,
            [],
            _ecs(owner),
        )
        ec2.templates[f"{name}Worker"] = Template(f"{name}Worker", {}, dict(owner), BEGINNING)
        ec2.fleets[f"sfr-foreign-{number}"] = _fleet(f"sfr-foreign-{number}", owner)
        machine = Machine(
            f"i-foreign{number}",
            "running",
            dict(owner),
            f"sfr-foreign-{number}",
            "",
            BEGINNING,
            0.0,
        )
        ec2.machines[machine.instance_id] = machine
        host = f"arn:aws:ecs:us-east-1:1:container-instance/lab/foreign{number}"
        ecs.hosts[host] = Host(host, "lab", machine, {}, BEGINNING)
    world.logs.groups["App_others"] = 0
    _untagged(world)


def _untagged(world: World) -> None:
    """What DCP left under our very names, where we can do with it: a revision of the family."""
    arn = "arn:aws:ecs:us-east-1:1:task-definition/AppTask:3"
    spec: dict[str, Any] = {"family": "AppTask", "containerDefinitions": [], "tags": []}
    world.ecs.definitions[arn] = TaskDefinition(arn, spec, BEGINNING)
    world.cloudwatch.alarms["App_i-0deadbeef"] = {}
    world.cloudwatch.alarms["ApproximateNumberOfMessagesVisibleisZero_App"] = {}


def _fleet(fleet_id: str, owner: dict[str, str]) -> Fleet:
    request = {"ClientToken": fleet_id, "TargetCapacity": 1, "Type": "maintain"}
    return Fleet(fleet_id, request, dict(owner), 1e9, BEGINNING, target=1, launched=1)


def portrait(world: World) -> dict[str, Any]:
    """All that is foreign, as it is now: compare two to see what was touched."""
    things: dict[str, Any] = {}
    pools: dict[str, Any] = {
        "queue": world.sqs.queues,
        "dashboard": world.cloudwatch.dashboards,
        "alarm": world.cloudwatch.alarms,
        "task definition": world.ecs.definitions,
        "service": world.ecs.services,
        "launch template": world.ec2.templates,
        "fleet": world.ec2.fleets,
        "machine": world.ec2.machines,
        "host": world.ecs.hosts,
        "cluster": world.ecs.clusters,
        "log group": world.logs.groups,
    }
    for kind, pool in pools.items():
        for name, thing in pool.items():
            things[f"{kind} {name}"] = _seen(thing)
    return things


def _seen(thing: Any) -> Any:
    """What somebody would miss: not the samples of counts, nor the life of a machine's host."""
    if isinstance(thing, Queue):
        messages = {n: (m.body, m.receives) for n, m in thing.messages.items()}
        return (dict(thing.attributes), dict(thing.tags), messages, thing.gone_at)
    if isinstance(thing, Machine):
        return (thing.instance_id, thing.state, dict(thing.tags))
    if isinstance(thing, Host):
        return (thing.arn, thing.status, thing.connected)
    return copy.deepcopy(thing)


def touched(before: dict[str, Any], world: World) -> list[str]:
    """What of `before` isn't as it was."""
    now = portrait(world)
    return [name for name, thing in before.items() if now.get(name) != thing]
