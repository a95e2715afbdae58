"""Machines: launch template, fleets, instances. A fleet is written down before it is asked for."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws import fleet
from chalicelib.aws.actions.rim import Rim, carry_out, gone_is_fine
from chalicelib.aws.errors import code, is_refusal
from chalicelib.core.actions.machines import (
    CancelFleet,
    CancelFleets,
    CreateLaunchTemplate,
    DeleteLaunchTemplate,
    RequestFleet,
    ShrinkFleet,
    TerminateInstances,
)
from chalicelib.core.compute import ec2_tags
from chalicelib.core.run import Fleet, Phase, RunRecord

#: EC2 knows the token, from a request with other contents.
TOKEN_TAKEN = "IdempotentParameterMismatch"

#: TerminateInstances takes at most this many ids; one that is gone for long spoils a call.
_TERMINATED = 1_000


@carry_out.register
def _(action: TerminateInstances, rim: Rim) -> None:
    for start in range(0, len(action.instance_ids), _TERMINATED):
        ids = list(action.instance_ids[start : start + _TERMINATED])
        gone_is_fine(lambda ids=ids: rim.aws.ec2.terminate_instances(InstanceIds=ids))  # type: ignore[misc]


@carry_out.register
def _(action: CreateLaunchTemplate, rim: Rim) -> None:
    tags: Any = [{"ResourceType": "launch-template", "Tags": ec2_tags(action.tags)}]
    rim.aws.ec2.create_launch_template(
        LaunchTemplateName=action.name,
        LaunchTemplateData=dict(action.data),  # type: ignore[arg-type]
        TagSpecifications=tags,
    )


@carry_out.register
def _(action: DeleteLaunchTemplate, rim: Rim) -> None:
    gone_is_fine(lambda: rim.aws.ec2.delete_launch_template(LaunchTemplateName=action.name))


@carry_out.register
def _(action: RequestFleet, rim: Rim) -> None:
    stored = _store_fleet(rim, action.fleet)
    if stored is None or stored.fleet_id:
        return
    try:
        fleet_id = fleet.request(rim.aws.ec2, stored.request)
    except ClientError as error:
        if code(error) == TOKEN_TAKEN:
            # Our record was lost after an earlier request: the next one takes another token.
            rim.change(lambda record: _with(record, stored.token, abandoned=True))
            return
        if is_refusal(error):
            said = f"{code(error)}: {error.response.get('Error', {}).get('Message', '')}"
            rim.change(lambda record: _with(record, stored.token, refusal=said))
        raise
    rim.change(lambda record: _with(record, stored.token, fleet_id=fleet_id, refusal=""))


@carry_out.register
def _(action: CancelFleet, rim: Rim) -> None:
    gone_is_fine(
        lambda: fleet.cancel(rim.aws.ec2, [action.fleet_id], keep_machines=action.keep_machines)
    )
    if action.keep_machines:  # the run goes on: it need not ask about this fleet any more
        rim.change(lambda record: _closed(record, action.fleet_id))


@carry_out.register
def _(action: CancelFleets, rim: Rim) -> None:
    gone_is_fine(lambda: fleet.cancel(rim.aws.ec2, action.fleet_ids))


@carry_out.register
def _(action: ShrinkFleet, rim: Rim) -> None:
    # `default` instead of `noTermination` would take machines without looking who is busy.
    rim.aws.ec2.modify_spot_fleet_request(
        SpotFleetRequestId=action.fleet_id,
        TargetCapacity=action.target,
        ExcessCapacityTerminationPolicy="noTermination",
    )


def _closed(record: RunRecord, fleet_id: str) -> RunRecord:
    return record.model_copy(
        update={
            "fleets": tuple(
                f.model_copy(update={"closed": True}) if f.fleet_id == fleet_id else f
                for f in record.fleets
            )
        }
    )


def _store_fleet(rim: Rim, wanted: Fleet) -> Fleet | None:
    """Write the request down before it is sent; the one that is written down is sent.

    None if the run has begun to end, or was given up, meanwhile.
    """

    def add(record: RunRecord) -> RunRecord | None:
        if not _may_start(record) or _fleet(record, wanted.token):
            return None
        started = record.started_at or rim.services.now()
        return record.model_copy(update={"fleets": (*record.fleets, wanted), "started_at": started})

    record = rim.change(add)
    return _fleet(record, wanted.token) if _may_start(record) else None


def _may_start(record: RunRecord) -> bool:
    return record.phase is Phase.OPEN and not record.stuck


def _fleet(record: RunRecord, token: str) -> Fleet | None:
    return next((fleet for fleet in record.fleets if fleet.token == token), None)


def _with(record: RunRecord, token: str, **fields: str | bool) -> RunRecord | None:
    """With fields of one fleet set; None if they are so already."""
    fleets = tuple(f.model_copy(update=fields) if f.token == token else f for f in record.fleets)
    return record.model_copy(update={"fleets": fleets}) if fleets != record.fleets else None
