"""Set-up: what a run needs before its first job, decided from what is already there.

Called again and again until nothing is left to do, since some things need others' addresses:
the queue its dead-letter queue's, the containers the queue's, the service the containers'.
What is there and ours is compared, and only what differs is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from chalicelib.core import compute
from chalicelib.core.actions.ecs import (
    CreateCluster,
    CreateService,
    RegisterTaskDefinition,
    TagService,
    UpdateService,
)
from chalicelib.core.actions.queues import CreateQueue, UpdateQueue
from chalicelib.core.actions.record import Note, Remember
from chalicelib.core.actions.watch import CreateLogGroup
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import TAG_APP, TAG_DEPLOYMENT, Names, tags
from chalicelib.core.observation import QueueView, SetupView, is_ours
from chalicelib.core.plan import Action, Plan
from chalicelib.core.run import RunRecord
from chalicelib.errors import ConflictError, NotReadyError
from chalicelib.settings import Settings

RETENTION_SECONDS = 14 * 24 * 3600
LOG_DAYS = 60
#: DCP's queues took messages up to this many bytes.
MESSAGE_BYTES = 262_144


def refuse_foreign(
    config: RunConfig, view: SetupView, *, deployment: str, adopt: bool = False
) -> None:
    """Raise ConflictError when something of somebody else's stands under one of our names.

    With `adopt`, only when it is in use, or another CellFleet app's: nobody gets at that one's
    messages by naming its queue.
    """
    names = Names.of(config)
    _refuse_other_apps(config, view, deployment)
    foreign = [
        f"{what} {name}"
        for what, name, found in (
            ("the queue", names.queue, view.queue),
            ("the service", names.service, view.service),
        )
        if found is not None and not is_ours(found.tags, app=config.app_name, deployment=deployment)
    ]
    if adopt and f"the service {names.service}" in foreign:
        _refuse_busy(names, view)
    if foreign and not adopt:
        raise ConflictError(
            f"{' and '.join(foreign)} exist{'s' if len(foreign) == 1 else ''} already and "
            f"{'is' if len(foreign) == 1 else 'are'} not CellFleet's. If Distributed-CellProfiler "
            "left them and nothing uses them, run set-up again with --adopt; otherwise choose "
            "another APP_NAME or SQS_QUEUE_NAME"
        )


def _refuse_other_apps(config: RunConfig, view: SetupView, deployment: str) -> None:
    names = Names.of(config)
    tagged = [
        ("SQS_QUEUE_NAME", "the queue", names.queue, view.queue),
        ("APP_NAME", "the service", names.service, view.service),
    ]
    dead = view.dead_letter
    if dead is not None and "RedrivePolicy" in dead.attributes:
        # Apps share their dead letters, but no queue that workers read.
        tagged.append(("SQS_DEAD_LETTER_QUEUE", "the queue", names.dead_letter_queue, dead))
    for key, what, name, found in tagged:
        app = found.tags.get(TAG_APP, "") if found is not None else ""
        if (
            found is None
            or not app
            or is_ours(found.tags, app=config.app_name, deployment=deployment)
        ):
            continue
        of = found.tags.get(TAG_DEPLOYMENT, "")
        where = "" if of == deployment else f" of the deployment {of}"
        raise ConflictError(f"{what} {name} belongs to the app {app}{where}: choose another {key}")


def decide_setup(record: RunRecord, config: RunConfig, settings: Settings, view: SetupView) -> Plan:
    """The actions that can be done now; empty when the run is set up."""
    names = Names.of(config)
    owner = tags(app=record.app, run_id=record.run_id, deployment=record.deployment)
    if view.service is not None and not _has(view.service.tags, owner):
        _refuse_busy(names, view)
    plan: list[Action] = [
        # One that is there keeps its retention: shortening it would delete somebody's logs.
        CreateLogGroup(name=group, days=LOG_DAYS)
        for group in (names.log_group, names.instance_log_group)
        if group not in view.log_groups
    ]
    if view.cluster is None:
        plan.append(CreateCluster(name=names.cluster, tags=owner))
    plan += _queues(record, config, names, view, owner)
    if view.queue is not None and view.dead_letter is not None and view.cluster is not None:
        plan += _containers(record, config, settings, view, owner)
    return tuple(plan)


def _refuse_busy(names: Names, view: SetupView) -> None:
    """Containers that run for somebody else can't become this run's, not even by --adopt."""
    service = view.service
    if service is None or service.status == "DRAINING":
        return
    if service.desired > 0 or service.running > 0:
        raise ConflictError(
            f"the service {names.service} in cluster {names.cluster} runs {service.running} of "
            f"{service.desired} containers that aren't this run's. Set its desired count to 0, "
            "wait until they have stopped, and run set-up again"
        )


def _queues(
    record: RunRecord,
    config: RunConfig,
    names: Names,
    view: SetupView,
    owner: Mapping[str, str],
) -> list[Action]:
    kept = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
    dead = view.dead_letter
    if dead is None:
        return [CreateQueue(name=names.dead_letter_queue, attributes=kept, tags=owner)]
    wanted = kept | {
        "VisibilityTimeout": str(config.sqs_message_visibility),
        "MaximumMessageSize": str(MESSAGE_BYTES),
        "RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": dead.arn, "maxReceiveCount": config.job_retries}
        ),
    }
    if view.queue is None:
        return [CreateQueue(name=names.queue, attributes=wanted, tags=owner)]
    plan: list[Action] = []
    different = _different(view.queue, wanted)
    if different or not _has(view.queue.tags, owner):
        plan.append(
            UpdateQueue(name=names.queue, url=view.queue.url, attributes=different, tags=owner)
        )
    if int(dead.attributes.get("MessageRetentionPeriod", RETENTION_SECONDS)) < RETENTION_SECONDS:
        # It may be shared, or somebody else's: say so, don't touch it.
        plan += _note_once(
            record,
            f"the dead-letter queue {names.dead_letter_queue} keeps messages for less than the "
            "14 days that the job queue does: dead jobs may vanish early",
        )
    if (record.queue_url, record.dead_letter_url) != (view.queue.url, dead.url):
        plan.append(Remember(fields={"queue_url": view.queue.url, "dead_letter_url": dead.url}))
    return plan


def _note_once(record: RunRecord, text: str) -> list[Action]:
    return [] if text in record.notes else [Note(text=text)]


def _different(queue: QueueView, wanted: Mapping[str, str]) -> dict[str, str]:
    def same(name: str, value: str) -> bool:
        found = queue.attributes.get(name, "")
        if name != "RedrivePolicy":
            return found == value
        mine, theirs = json.loads(value), json.loads(found or "{}")
        return (mine["deadLetterTargetArn"], str(mine["maxReceiveCount"])) == (
            theirs.get("deadLetterTargetArn"),
            str(theirs.get("maxReceiveCount")),
        )

    return {name: value for name, value in wanted.items() if not same(name, value)}


def _has(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _containers(
    record: RunRecord,
    config: RunConfig,
    settings: Settings,
    view: SetupView,
    owner: Mapping[str, str],
) -> list[Action]:
    assert view.queue is not None
    assert view.dead_letter is not None
    names = Names.of(config)
    spec = compute.task_definition(
        config,
        settings,
        kind=record.worker,
        image=record.image,
        environment=compute.task_environment(
            config,
            kind=record.worker,
            run_id=record.run_id,
            deployment=record.deployment,
            queue_url=view.queue.url,
            dead_letter_url=view.dead_letter.url,
        ),
        tags=owner,
    )
    digest = compute.digest(spec)
    service = view.service
    live = service is not None and (service.desired > 0 or service.running > 0)
    if record.task_digest != digest and not (live and record.task_definition):
        return [RegisterTaskDefinition(spec=spec, digest=digest)]
    if service is None:
        made = compute.service(
            config,
            run_id=record.run_id,
            task_definition_arn=record.task_definition,
            tags=owner,
        )
        return [CreateService(spec=made)]
    if service.status == "DRAINING":
        raise NotReadyError(
            f"the service {names.service} of an earlier run is still being removed; "
            "ECS takes a few minutes"
        )
    if live or (_has(service.tags, owner) and service.task_definition == record.task_definition):
        return []
    # Left by an earlier run, or adopted from DCP: its containers must go to this run's machines.
    return [
        UpdateService(
            cluster=names.cluster,
            service=names.service,
            task_definition=record.task_definition,
            constraints=(compute.on_machines_of(record.run_id),),
        ),
        TagService(arn=service.arn, tags=owner),
    ]
