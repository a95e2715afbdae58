"""Look at AWS once: what set-up, a tick and a teardown need to know, in few calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from chalicelib.aws import cluster as ecs_views
from chalicelib.aws import fleet, ledger, queue, watch
from chalicelib.aws.evidence import read_evidence
from chalicelib.aws.services import Services
from chalicelib.core.ailment import Ailment
from chalicelib.core.config import RunConfig
from chalicelib.core.decide import EMPTY_READINGS
from chalicelib.core.health import examine
from chalicelib.core.naming import Names
from chalicelib.core.observation import Account, Observation, QueueView, SetupView, is_ours
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.start import fleet_plan, missing_machines, unsent
from chalicelib.core.tally import Tally
from chalicelib.errors import ConfigError


class Memory(BaseModel):
    """What one tick hands to the next, in the run's status."""

    model_config = ConfigDict(frozen=True)

    tally: Tally = Tally()
    empty_since: datetime | None = None
    empty_readings: int = 0
    #: What ailed the fleet when it was last looked at.
    ailments: tuple[Ailment, ...] = ()
    #: Every machine that a run of DCP's image was seen to have: each may have made an alarm.
    machines: tuple[str, ...] = ()


def look_for_setup(services: Services, config: RunConfig) -> SetupView:
    """What stands under the names that a configuration implies."""
    names, clients = Names.of(config), services.clients
    return SetupView(
        queue=queue.look(clients.sqs, names.queue, tags=True),
        dead_letter=queue.look(clients.sqs, names.dead_letter_queue, tags=True),
        cluster=ecs_views.look_at_cluster(clients.ecs, names.cluster),
        service=ecs_views.look_at_service(clients.ecs, names.cluster, names.service),
        log_groups=watch.log_groups(clients.logs, names.log_group),
    )


def look(
    services: Services, record: RunRecord, config: RunConfig, memory: Memory
) -> tuple[Observation, Memory]:
    """One look at a run, and what to remember until the next."""
    now = services.now()
    names, clients = Names.of(config), services.clients
    ending = record.phase is not Phase.OPEN
    found_queue = _queue(services, record, names)
    progress, tally = ledger.read(services.store, record.run_id, memory.tally, now)
    memory = memory.model_copy(update={"tally": tally})
    memory = _count_empty(memory, record, found_queue, now)
    # An entry that came very late isn't in the tally: an empty queue is a reason to look, too.
    if record.closed and (
        progress.done + progress.dead >= record.jobs or memory.empty_readings >= EMPTY_READINGS
    ):
        progress = ledger.read_all(services.store, record.run_id, record.jobs, progress)
    instances = fleet.look_at_instances(clients.ec2, record.run_id) if record.fleets else ()
    if record.worker == "dcp":
        met = {*memory.machines, *(instance.instance_id for instance in instances)}
        memory = memory.model_copy(update={"machines": tuple(sorted(met))})
    given_up = ending or bool(record.stuck)
    lost = record.run_id if any(not f.fleet_id for f in record.fleets) and given_up else ""
    seen = Observation(
        now=now,
        queue=found_queue,
        progress=progress,
        service=ecs_views.look_at_service(clients.ecs, names.cluster, names.service),
        fleets=fleet.look_at_fleets(
            clients.ec2, (f.fleet_id for f in record.fleets if f.fleet_id), lost_of=lost
        ),
        instances=instances,
        empty_since=memory.empty_since,
        empty_readings=memory.empty_readings,
    )
    if record.phase is Phase.TEARING_DOWN:
        seen = _with_remains(services, record, config, seen, memory.machines)
    elif record.phase is Phase.OPEN:
        seen = _with_what_starting_needs(services, record, config, seen)
        seen = _with_ailments(services, record, config, seen, memory)
        memory = memory.model_copy(update={"ailments": seen.ailments})
    return seen, memory


def _queue(services: Services, record: RunRecord, names: Names) -> QueueView | None:
    """By its address; at the end by its exact name, since a set-up may have died before it wrote
    the address down."""
    if record.phase is not Phase.OPEN:
        return queue.look(services.clients.sqs, names.queue, tags=True)
    if not record.queue_url:
        return None
    return queue.look_at(services.clients.sqs, record.queue_url, tags=False)


def _count_empty(
    memory: Memory, record: RunRecord, found: QueueView | None, now: datetime
) -> Memory:
    """Readings of an empty queue, in a row; one that somebody deleted holds nothing either."""
    if not record.closed or (found is not None and found.messages):
        return memory.model_copy(update={"empty_since": None, "empty_readings": 0})
    return memory.model_copy(
        update={
            "empty_since": memory.empty_since or now,
            "empty_readings": memory.empty_readings + 1,
        }
    )


def look_at_account(services: Services, record: RunRecord, config: RunConfig) -> Account:
    """Machine images and the run's launch templates, before machines are requested."""
    clients = services.clients
    plan = fleet_plan(record, config, services.settings, clients.account)
    return Account(
        fleet=plan,
        images={
            spec.image_id: fleet.look_at_image(clients.ec2, clients.ssm, spec.image_id)
            for spec in plan.machines
        },
        launch_templates=fleet.launch_templates(clients.ec2, record.run_id),
    )


def _with_what_starting_needs(
    services: Services, record: RunRecord, config: RunConfig, seen: Observation
) -> Observation:
    if missing_machines(record, config, seen) > 0 or unsent(record, seen.now):
        try:
            seen = replace(seen, account=look_at_account(services, record, config))
        except ConfigError as error:
            seen = replace(seen, start_problem=str(error))
    if config.create_dashboard and record.fleets and not record.dashboard:
        tags = watch.dashboard_tags(services.clients.cloudwatch, Names.of(config).dashboard)
        seen = replace(seen, foreign_dashboard=tags is not None and not _ours(record, tags))
    return seen


def _with_ailments(
    services: Services, record: RunRecord, config: RunConfig, seen: Observation, memory: Memory
) -> Observation:
    if record.stuck:
        names = fleet.launch_templates(services.clients.ec2, record.run_id)
        return replace(seen, launch_templates=names)
    evidence = read_evidence(services.clients, record, config, seen)
    return replace(seen, ailments=examine(record, config, seen, evidence, memory.ailments))


def _ours(record: RunRecord, tags: Mapping[str, str]) -> bool:
    return is_ours(tags, app=record.app, deployment=record.deployment)


def _with_remains(
    services: Services,
    record: RunRecord,
    config: RunConfig,
    seen: Observation,
    machines: tuple[str, ...],
) -> Observation:
    names, clients = Names.of(config), services.clients
    alarms = [names.instance_alarm(machine) for machine in machines]
    board = (
        watch.dashboard_tags(clients.cloudwatch, names.dashboard)
        if config.create_dashboard
        else None
    )
    found_cluster = ecs_views.look_at_cluster(clients.ecs, names.cluster)
    return replace(
        seen,
        cluster=found_cluster,
        hosts=ecs_views.look_at_hosts(clients.ecs, names.cluster, record.run_id)
        if found_cluster is not None
        else (),
        task_definitions=tuple(
            arn
            for arn, tags in ecs_views.task_definitions(clients.ecs, names.task_family)
            if _ours(record, tags)
        ),
        launch_templates=fleet.launch_templates(clients.ec2, record.run_id),
        alarms=watch.existing_alarms(clients.cloudwatch, alarms),
        dashboard=board is not None and _ours(record, board),
    )
