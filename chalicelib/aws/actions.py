"""How each action of a plan is done: one small function for each, by its type.

What AWS answers with (an address, an id) is written into the run record before the next
action, by compare-and-swap. Deleting what isn't there is success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

from chalicelib.aws import fleet, missing
from chalicelib.aws.clients import Clients
from chalicelib.aws.errors import AwsError, code, is_not_found
from chalicelib.aws.services import Services
from chalicelib.aws.watch import ALARMS
from chalicelib.core import plan
from chalicelib.core.compute import digest, ec2_tags, ecs_tags
from chalicelib.core.run import STOPPED, Fleet, Phase, RunRecord
from chalicelib.errors import NotReadyError


class Rim:
    """What actions work on: the account's clients and one run's record."""

    def __init__(self, services: Services, run_id: str):
        self.services = services
        self.run_id = run_id

    @property
    def aws(self) -> Clients:
        return self.services.clients

    def change(self, change: Callable[[RunRecord], RunRecord | None]) -> RunRecord:
        """Change the run record by compare-and-swap."""
        return self.services.runs.change(self.run_id, change)

    def remember(self, fields: Mapping[str, Any]) -> None:
        """Set fields of the run record."""
        self.change(lambda record: record.model_copy(update=dict(fields)))


@singledispatch
def carry_out(action: object, _rim: Rim) -> None:
    """Do one action. A test holds that every action has its function."""
    raise TypeError(f"nobody knows how to {action}")


def _gone_is_fine(call: Callable[[], object]) -> None:
    try:
        call()
    except AwsError as error:
        if not is_not_found(error):
            raise


_QUEUE_EXISTS = ("QueueAlreadyExists", "QueueNameExists")


# --- queues ----------------------------------------------------------------------------------


@carry_out.register
def _(action: plan.CreateQueue, rim: Rim) -> None:
    try:
        rim.aws.sqs.create_queue(
            QueueName=action.name,
            Attributes=dict(action.attributes),  # type: ignore[arg-type]
            tags=dict(action.tags),
        )
    except AwsError as error:
        if "QueueDeletedRecently" in code(error):
            raise NotReadyError(
                f"the queue {action.name} was deleted less than 60 seconds ago; "
                "its name is free again soon"
            ) from error
        if code(error) not in _QUEUE_EXISTS:  # another set-up was faster: the next look tells
            raise


@carry_out.register
def _(action: plan.UpdateQueue, rim: Rim) -> None:
    if action.attributes:
        rim.aws.sqs.set_queue_attributes(
            QueueUrl=action.url,
            Attributes=dict(action.attributes),  # type: ignore[arg-type]
        )
    rim.aws.sqs.tag_queue(QueueUrl=action.url, Tags=dict(action.tags))


@carry_out.register
def _(action: plan.DeleteQueue, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.sqs.delete_queue(QueueUrl=action.url))


# --- ECS -------------------------------------------------------------------------------------


@carry_out.register
def _(action: plan.CreateCluster, rim: Rim) -> None:
    rim.aws.ecs.create_cluster(
        clusterName=action.name,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: plan.DeleteCluster, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.ecs.delete_cluster(cluster=action.name))


@carry_out.register
def _(action: plan.RegisterTaskDefinition, rim: Rim) -> None:
    answer = rim.aws.ecs.register_task_definition(**action.spec)
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    rim.remember({"task_definition": arn, "task_digest": action.digest})


@carry_out.register
def _(action: plan.DeregisterTaskDefinition, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.ecs.deregister_task_definition(taskDefinition=action.arn))


@carry_out.register
def _(action: plan.CreateService, rim: Rim) -> None:
    rim.aws.ecs.create_service(**action.spec)


@carry_out.register
def _(action: plan.UpdateService, rim: Rim) -> None:
    changes: dict[str, Any] = {}
    if action.desired is not None:
        changes["desiredCount"] = action.desired
    if action.task_definition:
        changes["taskDefinition"] = action.task_definition
    if action.constraints:
        changes["placementConstraints"] = list(action.constraints)
    rim.aws.ecs.update_service(cluster=action.cluster, service=action.service, **changes)


@carry_out.register
def _(action: plan.TagService, rim: Rim) -> None:
    rim.aws.ecs.tag_resource(
        resourceArn=action.arn,
        tags=ecs_tags(action.tags),  # type: ignore[arg-type]
    )


@carry_out.register
def _(action: plan.DeleteService, rim: Rim) -> None:
    _gone_is_fine(
        lambda: rim.aws.ecs.delete_service(
            cluster=action.cluster, service=action.service, force=True
        )
    )


@carry_out.register
def _(action: plan.DeregisterInstance, rim: Rim) -> None:
    _gone_is_fine(
        lambda: rim.aws.ecs.deregister_container_instance(
            cluster=action.cluster, containerInstance=action.arn, force=True
        )
    )


# --- machines --------------------------------------------------------------------------------


@carry_out.register
def _(action: plan.TerminateInstances, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.ec2.terminate_instances(InstanceIds=list(action.instance_ids)))


@carry_out.register
def _(action: plan.CreateLaunchTemplate, rim: Rim) -> None:
    tags: Any = [{"ResourceType": "launch-template", "Tags": ec2_tags(action.tags)}]
    rim.aws.ec2.create_launch_template(
        LaunchTemplateName=action.name,
        LaunchTemplateData=dict(action.data),  # type: ignore[arg-type]
        TagSpecifications=tags,
    )


@carry_out.register
def _(action: plan.DeleteLaunchTemplate, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.ec2.delete_launch_template(LaunchTemplateName=action.name))


@carry_out.register
def _(action: plan.RequestFleet, rim: Rim) -> None:
    stored = _store_fleet(rim, action.fleet)
    if stored is None or stored.fleet_id:
        return
    fleet_id = fleet.request(rim.aws.ec2, stored.request)
    rim.change(lambda record: _with_fleet_id(record, stored.token, fleet_id))


@carry_out.register
def _(action: plan.CancelFleet, rim: Rim) -> None:
    _gone_is_fine(lambda: fleet.cancel(rim.aws.ec2, action.fleet_id))


def _store_fleet(rim: Rim, wanted: Fleet) -> Fleet | None:
    """Write the request down before it is sent; the one that is written down is sent.

    None if the run has begun to end meanwhile.
    """

    def add(record: RunRecord) -> RunRecord | None:
        if record.phase is not Phase.OPEN or _fleet(record, wanted.token):
            return None
        started = record.started_at or rim.services.now()
        return record.model_copy(update={"fleets": (*record.fleets, wanted), "started_at": started})

    record = rim.change(add)
    return _fleet(record, wanted.token) if record.phase is Phase.OPEN else None


def _fleet(record: RunRecord, token: str) -> Fleet | None:
    return next((fleet for fleet in record.fleets if fleet.token == token), None)


def _with_fleet_id(record: RunRecord, token: str, fleet_id: str) -> RunRecord:
    return record.model_copy(
        update={
            "fleets": tuple(
                f.model_copy(update={"fleet_id": fleet_id}) if f.token == token else f
                for f in record.fleets
            )
        }
    )


# --- dashboards, alarms, logs, files -------------------------------------------------------------


@carry_out.register
def _(action: plan.PutDashboard, rim: Rim) -> None:
    rim.aws.cloudwatch.put_dashboard(
        DashboardName=action.name,
        DashboardBody=action.body,
        Tags=ec2_tags(action.tags),  # type: ignore[arg-type]
    )
    rim.remember({"dashboard": digest({"body": action.body})})


@carry_out.register
def _(action: plan.DeleteDashboard, rim: Rim) -> None:
    _gone_is_fine(lambda: rim.aws.cloudwatch.delete_dashboards(DashboardNames=[action.name]))


@carry_out.register
def _(action: plan.DeleteAlarms, rim: Rim) -> None:
    for start in range(0, len(action.names), ALARMS):
        rim.aws.cloudwatch.delete_alarms(AlarmNames=list(action.names[start : start + ALARMS]))


@carry_out.register
def _(action: plan.CreateLogGroup, rim: Rim) -> None:
    try:
        rim.aws.logs.create_log_group(logGroupName=action.name)
    except AwsError as error:
        if code(error) != "ResourceAlreadyExistsException":
            raise
    rim.aws.logs.put_retention_policy(logGroupName=action.name, retentionInDays=action.days)


@carry_out.register
def _(action: plan.PutFile, rim: Rim) -> None:
    rim.aws.s3.put_object(Bucket=action.bucket, Key=action.key, Body=action.body.encode())


# --- the run record ----------------------------------------------------------------------------

_TRANSITIONS = {
    Phase.OPEN: (Phase.ENDING,),
    Phase.ENDING: (Phase.OPEN, Phase.TEARING_DOWN),
    Phase.TEARING_DOWN: (Phase.FINISHED,),
    Phase.FINISHED: (),
}


@carry_out.register
def _(action: plan.ChangePhase, rim: Rim) -> None:
    phase = Phase(action.phase)

    def turn(record: RunRecord) -> RunRecord | None:
        if phase not in _TRANSITIONS[record.phase]:
            return None
        if phase is not Phase.OPEN and record.outcome != STOPPED and not record.closed:
            return None  # a submission came in between: it goes first
        update: dict[str, Any] = {"phase": phase, "outcome": action.outcome or record.outcome}
        if phase is Phase.OPEN:
            update["outcome"] = ""
        if phase is Phase.FINISHED:
            update["ended_at"] = rim.services.now()
        return record.model_copy(update=update)

    if rim.change(turn).phase is Phase.FINISHED:
        rim.services.runs.forget(rim.run_id)


@carry_out.register
def _(action: plan.Remember, rim: Rim) -> None:
    rim.remember(action.fields)


@carry_out.register
def _(action: plan.ResolveMissing, rim: Rim) -> None:
    record = rim.services.runs.load(rim.run_id)
    missing.resolve(rim.services, record, send_again=action.send_again)
    # Counted last: if we die before, they are sent once more, never once less.
    now = rim.services.now()
    rim.change(
        lambda found: found.model_copy(update={"resent": found.resent + 1, "resent_at": now})
    )


@carry_out.register
def _(action: plan.Note, rim: Rim) -> None:
    rim.change(lambda record: record.with_note(action.text))
