"""Look at what is left of a run that ends. Each kind is read when its turn has come: what can
go at once in the first look of a tick, machines until they are gone, then what they used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.aws import cluster as ecs_views
from chalicelib.aws import fleet, queue, watch
from chalicelib.aws.services import Services
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names
from chalicelib.core.observation import (
    ClusterView,
    FleetView,
    Observation,
    Progress,
    QueueView,
    ServiceView,
    is_ours,
)
from chalicelib.core.run import RunRecord
from chalicelib.core.teardown import DEFAULT_CLUSTER


def look_at_remains(
    services: Services,
    record: RunRecord,
    config: RunConfig,
    machines: tuple[str, ...],
    progress: Progress,
    *,
    before: Observation | None = None,
) -> Observation:
    """What is left. `machines` were met by a run of DCP's image: each may have made an alarm.

    With `before`, what an earlier look of the same tick knows is only read again where it changes
    by itself. (What was deleted, `teardown.without` has taken out of it.)
    """
    clients, names = services.clients, Names.of(config)
    if before is None or not before.remains:
        seen = _independent(services, record, config, progress, before)
    else:
        seen = _again(services, record, names, before)
    if seen.instances:
        return seen
    if seen.hosts is None:
        hosts = ecs_views.look_at_hosts(clients.ecs, names.cluster, record.run_id)
        seen = replace(seen, hosts=hosts)
    if seen.hosts:
        return seen
    if not seen.last_things:
        alarms = [names.instance_alarm(machine) for machine in machines]
        seen = replace(
            seen,
            last_things=True,
            queue=_queue(services, record, names),
            alarms=watch.existing_alarms(clients.cloudwatch, alarms),
        )
    return replace(seen, cluster=None if seen.service else _cluster(services, names))


def _again(services: Services, record: RunRecord, names: Names, before: Observation) -> Observation:
    """Machines and service go in their own time; nothing else changes by itself."""
    seen = replace(before, now=services.now())
    if before.instances:
        instances = fleet.look_at_instances(services.clients.ec2, record.run_id)
        return replace(seen, instances=instances)
    if before.service is not None and before.last_things:
        return replace(seen, service=_service(services, names))
    return seen


def _service(services: Services, names: Names) -> ServiceView | None:
    return ecs_views.look_at_service(services.clients.ecs, names.cluster, names.service)


def _independent(
    services: Services,
    record: RunRecord,
    config: RunConfig,
    progress: Progress,
    before: Observation | None,
) -> Observation:
    """The first look of a tick: what nothing else waits for, and what has to go first.

    Fleets are those that the record knows, taken for active: cancelling one twice is harmless.
    Of those whose answer was lost, the tag tells.
    """
    names, clients = Names.of(config), services.clients
    unknown = record.made_anew or any(not fleet.fleet_id for fleet in record.fleets)
    lost = record.run_id if unknown else ""
    known = (
        FleetView(fleet_id=f.fleet_id, state="active", target=f.machines)
        for f in record.fleets
        if f.fleet_id
    )
    board = (
        watch.dashboard_tags(clients.cloudwatch, names.dashboard)
        if config.create_dashboard
        else None
    )
    return Observation(
        now=services.now(),
        queue=None,
        service=before.service if before is not None else _service(services, names),
        instances=before.instances
        if before is not None
        else fleet.look_at_instances(clients.ec2, record.run_id),
        progress=progress,
        remains=True,
        fleets=(*known, *fleet.look_at_fleets(clients.ec2, (), lost_of=lost)),
        task_definitions=tuple(
            arn
            for arn, tags in ecs_views.task_definitions(
                clients.ecs, names.task_family, known=record.task_definition
            )
            if tags is None or _ours(record, tags)
        ),
        launch_templates=fleet.launch_templates(clients.ec2, record.run_id),
        dashboard=board is not None and _ours(record, board),
        monitor_file=bool(record.files),
    )


def _queue(services: Services, record: RunRecord, names: Names) -> QueueView | None:
    """By its address; by its exact name where a set-up died before it wrote the address down."""
    if not record.queue_url:
        return queue.look(services.clients.sqs, names.queue, tags=True)
    tags = queue.tags(services.clients.sqs, record.queue_url)
    if tags is None:
        return None
    return QueueView(url=record.queue_url, arn="", attributes={}, tags=tags)


def _cluster(services: Services, names: Names) -> ClusterView | None:
    if names.cluster == DEFAULT_CLUSTER:
        return None
    return ecs_views.look_at_cluster(services.clients.ecs, names.cluster)


def _ours(record: RunRecord, tags: Mapping[str, str]) -> bool:
    return is_ours(tags, app=record.app, deployment=record.deployment)
