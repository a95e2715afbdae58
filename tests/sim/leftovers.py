"""What an app still has in the account: by its tags, and by what those things carry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chalicelib.core.naming import RUN_ATTRIBUTE, TAG_APP, TAG_DEPLOYMENT, app_of
from tests.sim.world import STATE

if TYPE_CHECKING:
    from tests.sim.ec2 import Machine
    from tests.sim.history import History


def ours_tags(tags: dict[str, str], app: str) -> bool:
    return tags.get(TAG_APP) == app and tags.get(TAG_DEPLOYMENT) == STATE


def ours_ecs(tags: list[dict[str, str]], app: str) -> bool:
    return ours_tags({tag["key"]: tag["value"] for tag in tags}, app)


def costly(history: History) -> list[str]:
    """Machines, and fleets that may make more: what money runs through."""
    world, app = history.world, history.scenario.app
    left = [
        f"machine {machine.instance_id} ({machine.state})"
        for machine in world.ec2.machines.values()
        if machine.state != "terminated" and ours_tags(machine.tags, app)
    ]
    left += [
        f"fleet {fleet.fleet_id} ({fleet.state})"
        for fleet in world.ec2.fleets.values()
        if fleet.state in ("active", "submitted", "modifying") and ours_tags(fleet.tags, app)
    ]
    return left


def _unseen(history: History, machine: Machine) -> bool:
    """It came and went while nobody looked, or nobody could: nothing tells that its alarm is ours.
    (A sweep lists such alarms.)"""
    scenario = history.scenario
    ended = machine.ended if machine.ended is not None else math.inf
    blind = [*scenario.ticks.off, *((storm.start, storm.end) for storm in scenario.storms)]
    return any(begin <= machine.born and ended <= end for begin, end in blind)


def leftovers(history: History) -> list[str]:
    """Everything but the dead letters, logs and results, which stay."""
    world, app = history.world, history.scenario.app
    ecs, dead = world.ecs, history.scenario.config["SQS_DEAD_LETTER_QUEUE"]
    left = costly(history)
    left += [
        f"queue {queue.name}"
        for queue in world.sqs.queues.values()
        if ours_tags(queue.tags, app) and queue.name != dead and queue.gone_at is None
    ]
    left += [
        f"service {service.name} ({service.status})"
        for service in ecs.services.values()
        if service.status != "INACTIVE" and ours_ecs(service.tags, app)
    ]
    left += [
        f"task definition {found.arn}"
        for found in ecs.definitions.values()
        if found.status == "ACTIVE" and ours_ecs(found.spec["tags"], app)
    ]
    left += [
        f"cluster {cluster.name}"
        for cluster in ecs.clusters.values()
        if cluster.status == "ACTIVE" and ours_ecs(cluster.tags, app)
    ]
    left += [
        f"host {host.arn}"
        for host in ecs.hosts.values()
        if app_of(host.attributes.get(RUN_ATTRIBUTE, "-")) == app
    ]
    left += [
        f"launch template {template.name}"
        for template in world.ec2.templates.values()
        if ours_tags(template.tags, app)
    ]
    board = world.cloudwatch.dashboards.get(app)
    if (
        board
        and ours_tags(board.tags, app)
        and history.scenario.config["CLEAN_DASHBOARD"] == "True"
    ):
        left.append(f"dashboard {app}")
    mine = {
        machine.instance_id
        for machine in world.ec2.machines.values()
        if ours_tags(machine.tags, app) and not _unseen(history, machine)
    }
    # Alarms bear no tag. Which machines made them stands in the status alone, and no tick sees
    # machines while the record can't be read: whoever spoils these by hand has to delete the
    # alarms of machines that came and went, too. (A sweep lists them.)
    spoilt = ("delete status", "missing record", "corrupt record")
    if not any(act.what in spoilt for act in history.scenario.acts):
        alarms = (a for a in world.cloudwatch.alarms if a.removeprefix(f"{app}_") in mine)
        left += [f"alarm {name}" for name in alarms]
    return left
