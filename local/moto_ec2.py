"""What moto's spot fleets lack for our use: idempotent requests, a history, and an afterlife.

AWS tags machines with their fleet, says how far a fleet is and what went wrong, and answers a
repeated ClientToken with the first fleet. It lets a cancelled fleet be described for two days, and
terminates what is terminated already without complaint. It says of a launch template that isn't
there that it isn't, not that its name is missing.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidLaunchTemplateNameNotFoundWithNameError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.ec2.responses.spot_fleets import SpotFleets

from local.patching import Patches

#: Events of a fleet's history: pairs of type and event information.
Events = Sequence[tuple[str, dict[str, str]]]

ENDING, CANCELLED = "cancelled_terminating", "cancelled"


def install(patches: Patches) -> None:
    """Replace what differs."""
    patches.replace(SpotFleets, "request_spot_fleet", _request)
    patches.add(SpotFleets, "describe_spot_fleet_request_history", _history)
    patches.replace(EC2Backend, "cancel_spot_fleet_requests", lambda _: _cancel)
    patches.replace(Instance, "terminate", _terminate)
    patches.replace(EC2Backend, "delete_launch_template", _delete_launch_template)


def settle_fleets(backend: EC2Backend) -> None:
    """Cancelled fleets whose machines are gone are no longer ending."""
    for fleet in list(backend.spot_fleet_requests.values()):
        if fleet.state == ENDING and not fleet.spot_requests:
            fleet.state = CANCELLED


def _request(original: Callable[..., Any]) -> Callable[..., Any]:
    asking = threading.Lock()

    def request_spot_fleet(response: SpotFleets) -> Any:
        token = response._get_param("SpotFleetRequestConfig", {}).get("ClientToken")
        backend: Any = response.ec2_backend
        with asking:
            # On the backend, so that it ends with it.
            tokens: dict[str, str] = vars(backend).setdefault("cellfleet_fleet_tokens", {})
            events: Events | None = vars(backend).get("cellfleet_withheld")
            if token and token in tokens:
                return ActionResult({"SpotFleetRequestId": tokens[token]})
            if refusal := vars(backend).get("cellfleet_refusal"):
                raise EC2ClientError(*refusal)
            result = original(response)
            fleet_id = result.result["SpotFleetRequestId"]
            for request in backend.spot_fleet_requests[fleet_id].spot_requests:
                request.instance.add_tags({"aws:ec2spot:fleet-request-id": fleet_id})
            _fill(backend, fleet_id, events)
            if token:
                tokens[token] = fleet_id
            return result

    return request_spot_fleet


def withhold(backend: EC2Backend, events: Events | None) -> None:
    """Fleets requested from now on get no machines, and say why; None ends that."""
    vars(backend)["cellfleet_withheld"] = events


def refuse(backend: EC2Backend, code: str = "", message: str = "") -> None:
    """Requests for fleets are answered with this error from now on; without one, as ever."""
    vars(backend)["cellfleet_refusal"] = (code, message) if code else None


def _fill(backend: Any, fleet_id: str, withheld: Events | None) -> None:
    """The fleet's activity and history; moto has given it its machines already."""
    fleet = backend.spot_fleet_requests[fleet_id]
    fleet.activity_status = "fulfilled"
    fleet.cellfleet_events = []
    if withheld is not None:
        backend.terminate_instances([request.instance.id for request in fleet.spot_requests])
        fleet.spot_requests = []
        fleet.activity_status = "error"
        moment = datetime.now(UTC)
        fleet.cellfleet_events = [(moment, kind, dict(event)) for kind, event in withheld]


def _history(response: SpotFleets) -> Any:
    fleet_id = response._get_param("SpotFleetRequestId")
    kind = response._get_param("EventType")
    backend: Any = response.ec2_backend
    return ActionResult(
        {
            "SpotFleetRequestId": fleet_id,
            "HistoryRecords": [
                {"Timestamp": moment, "EventType": type_, "EventInformation": event}
                for moment, type_, event in backend.spot_fleet_requests[fleet_id].cellfleet_events
                if kind in (None, type_)
            ],
        }
    )


def _cancel(backend: EC2Backend, spot_fleet_request_ids: list[str], terminate: bool) -> list[Any]:
    known = [
        backend.spot_fleet_requests[name]
        for name in spot_fleet_request_ids
        if name in backend.spot_fleet_requests
    ]
    for fleet in known:
        if fleet.state == CANCELLED:
            continue
        fleet.state = ENDING if terminate else "cancelled_running"
        machines = [request.instance.id for request in fleet.spot_requests]
        if terminate and machines:
            backend.terminate_instances(machines)
    return known


def _terminate(original: Callable[..., Any]) -> Callable[..., Any]:
    def terminate(instance: Instance) -> Any:
        if instance.state == "terminated":
            return instance._state
        return original(instance)

    return terminate


def _delete_launch_template(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_launch_template(backend: EC2Backend, name: str, tid: str | None) -> Any:
        if name and name not in backend.launch_template_name_to_ids:
            raise InvalidLaunchTemplateNameNotFoundWithNameError(name)
        return original(backend, name, tid)

    return delete_launch_template
