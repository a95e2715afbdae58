"""Machines of a run as the emulator knows them, and their registration with ECS."""

from __future__ import annotations

import json
from typing import Any

from tests.aws.conftest import World

RUN_ATTRIBUTE = "cellfleet.run"


def instance_ids(world: World, run_id: str) -> list[str]:
    """The run's machines that aren't terminated, in order of their ids."""
    found = world.client("ec2").describe_instances(
        Filters=[{"Name": "tag:cellfleet.run", "Values": [run_id]}]
    )
    return sorted(
        instance["InstanceId"]
        for reservation in found["Reservations"]
        for instance in reservation["Instances"]
        if instance["State"]["Name"] not in ("terminated", "shutting-down")
    )


def register(
    world: World, instance_id: str, *, run_id: str, cluster: str = "lab", tasks: int = 0
) -> str:
    """What the agent does when a machine has booted; its ARN."""
    ecs = world.client("ecs")
    answer = ecs.register_container_instance(
        cluster=cluster,
        instanceIdentityDocument=json.dumps({"instanceId": instance_id}),
        attributes=[{"name": RUN_ATTRIBUTE, "value": run_id}],
    )
    arn = str(answer["containerInstance"]["containerInstanceArn"])
    host = backend_of(world).container_instances[cluster][arn.rsplit("/", 1)[-1]]
    host.attributes[RUN_ATTRIBUTE] = run_id
    host.running_tasks_count = tasks
    return arn


def backend_of(world: World) -> Any:
    """moto's ECS: what no call can set is set there."""
    from moto.backends import get_backend

    return get_backend("ecs")[world.clients.account]["us-east-1"]
