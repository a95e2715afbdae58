"""Look at AWS once: what set-up and a tick need to know, in few calls.

A run that goes well costs a look four requests, and one more for each thousand machines and each
thousand entries of the ledger's last minutes (and the tick about it four: its lease, the record). What is read beyond that has a reason each: a request that may still
bring machines, machines to be started or to leave, tasks that don't run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.aws import cluster as ecs_views
from chalicelib.aws import fleet, ledger, queue, watch
from chalicelib.aws.evidence import read_evidence
from chalicelib.aws.memory import Memory
from chalicelib.aws.remains import look_at_remains
from chalicelib.aws.services import Services
from chalicelib.core.capacity import MAINTAIN, open_fleets, outstanding
from chalicelib.core.config import RunConfig
from chalicelib.core.decide import EMPTY_READINGS, is_over
from chalicelib.core.health import examine
from chalicelib.core.naming import Names
from chalicelib.core.observation import (
    Account,
    FleetView,
    Observation,
    Progress,
    SetupView,
    is_ours,
)
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.scale_in import surplus
from chalicelib.core.start import fleet_plan, missing_machines, unsent
from chalicelib.errors import ConfigError

__all__ = ["Memory", "follow_up", "look", "look_for_setup"]

#: The dead-letter queue is for display only, and counted so often, once this run has given it any.
_DEAD_LETTERS = timedelta(minutes=5)


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
    """One look at a run, and what to remember until the next. A reading of its counts."""
    now = services.now()
    if record.phase is Phase.TEARING_DOWN:
        progress, memory = _progress(services, record, memory, now)
        return look_at_remains(services, record, config, memory.machines, progress), memory
    found = queue.look_at(services.clients.sqs, record.queue_url) if record.queue_url else None
    memory = memory.with_queue(record, found, now)
    progress, memory = _progress(services, record, memory, now)
    memory = _with_dead_letters(services, record, progress, memory, now)
    seen = Observation(
        now=now,
        queue=found,
        progress=progress,
        service=None,
        empty_since=memory.empty_since,
        empty_readings=memory.empty_readings,
        machines_before=memory.working,
    )
    return _with_machines(services, record, config, seen, memory)


def follow_up(
    services: Services, record: RunRecord, config: RunConfig, seen: Observation, memory: Memory
) -> tuple[Observation, Memory]:
    """Look again at what our own actions may have changed. Not a reading of the counts."""
    if record.phase is Phase.TEARING_DOWN:
        return look_at_remains(
            services, record, config, memory.machines, seen.progress, before=seen
        ), memory
    return _with_machines(services, record, config, replace(seen, now=services.now()), memory)


def _progress(
    services: Services, record: RunRecord, memory: Memory, now: datetime
) -> tuple[Progress, Memory]:
    if record.worker == "dcp":
        return Progress(), memory  # its workers keep no ledger
    progress, tally = ledger.read(services.store, record.run_id, memory.tally, now)
    memory = memory.model_copy(update={"tally": tally})
    if record.phase is Phase.TEARING_DOWN and memory.ended is not None:
        done, dead, failures = memory.ended
        return replace(progress, done=done, dead=dead, failures=failures, exact=True), memory
    # An entry that came very late isn't in the tally: an empty queue is a reason to look, too.
    if record.closed and (
        progress.done + progress.dead >= record.jobs or memory.empty_readings >= EMPTY_READINGS
    ):
        progress = ledger.read_all(services.store, record.run_id, record.jobs, progress)
    ended = (progress.done, progress.dead, progress.failures) if progress.exact else None
    return progress, memory.model_copy(update={"ended": ended})


def _with_dead_letters(
    services: Services, record: RunRecord, progress: Progress, memory: Memory, now: datetime
) -> Memory:
    at = memory.dead_letters_at
    # Of DCP's workers nobody knows whether they gave any.
    may_have_any = progress.dead > 0 or record.worker == "dcp"
    if not record.dead_letter_url or not may_have_any:
        return memory
    if at is not None and now - at < _DEAD_LETTERS:
        return memory
    found = queue.look_at(services.clients.sqs, record.dead_letter_url)
    count = found.messages if found is not None else None
    return memory.model_copy(update={"dead_letters": count, "dead_letters_at": now})


def _with_machines(
    services: Services, record: RunRecord, config: RunConfig, seen: Observation, memory: Memory
) -> tuple[Observation, Memory]:
    clients, names, now = services.clients, Names.of(config), seen.now
    service = ecs_views.look_at_service(clients.ecs, names.cluster, names.service)
    instances = fleet.look_at_instances(clients.ec2, record.run_id) if record.fleets else ()
    memory = memory.with_machines(record, instances, service, config.tasks_per_machine, now)
    seen = replace(
        seen,
        service=service,
        instances=instances,
        launched=memory.launched,
        drained=frozenset(memory.drained),
        revived_at=memory.revived_at,
    )
    if record.phase is not Phase.OPEN:
        return seen, memory
    seen = replace(seen, fleets=_fleets(services, record, config, seen))
    if _should_look_at_hosts(record, config, seen, memory):
        hosts = ecs_views.look_at_hosts(clients.ecs, names.cluster, record.run_id)
        memory = memory.with_hosts(hosts, instances, now)
        seen = replace(
            seen,
            hosts=hosts,
            drained=frozenset(memory.drained),
            leaving_since=memory.leaving,
            silent_since=memory.silent,
        )
    seen = _with_what_starting_needs(services, record, config, seen)
    return _with_ailments(services, record, config, seen, memory)


def _fleets(
    services: Services, record: RunRecord, config: RunConfig, seen: Observation
) -> tuple[FleetView, ...]:
    """Only those that may still bring machines; the others have nothing to tell. When the fleet
    was given up, also one whose answer was lost."""
    watched = record.watched(config.auto_monitor)
    asked = (
        request.fleet_id
        for request in open_fleets(record, seen)
        if request.fleet_id
        and (
            outstanding(request, record, seen)
            or record.stuck
            or (watched and request.type == MAINTAIN)
        )
    )
    lost = record.stuck and any(not f.fleet_id for f in record.fleets)
    # Those that an earlier look of this tick found over aren't asked for again, and stay over.
    over = tuple(view for view in seen.fleets if view.over)
    return over + fleet.look_at_fleets(
        services.clients.ec2, asked, lost_of=record.run_id if lost else ""
    )


def _should_look_at_hosts(
    record: RunRecord, config: RunConfig, seen: Observation, memory: Memory
) -> bool:
    """Machines are leaving or should, or something doesn't work; at the end, all of them go."""
    if not seen.instances or not record.watched(config.auto_monitor) or is_over(record, seen):
        return False
    return bool(
        memory.leaving
        or memory.drained
        or memory.silent
        or memory.is_short(seen.now)
        or surplus(record, config, seen)
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
) -> tuple[Observation, Memory]:
    if record.stuck:
        names = fleet.launch_templates(services.clients.ec2, record.run_id)
        return replace(seen, launch_templates=names, ailments=()), memory
    evidence = read_evidence(services.clients, record, config, seen)
    ailments = examine(record, config, seen, evidence, memory.ailments)
    return replace(seen, ailments=ailments), memory.model_copy(update={"ailments": ailments})


def _ours(record: RunRecord, tags: Mapping[str, str]) -> bool:
    return is_ours(tags, app=record.app, deployment=record.deployment)
