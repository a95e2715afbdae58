"""DCP's defects, put back into the control plane one at a time, to see that the simulator finds them.

Each has a history in which all goes well without it, the damage, and the invariant that has to
break. The numbers are those of docs/defects.md. Where DCP dies of an exception, so does this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from chalicelib.aws import execute, queue, remains
from chalicelib.aws.cluster import look_at_service
from chalicelib.aws.services import Services
from chalicelib.core import decide, scale_in, setup, start
from chalicelib.core.actions.logs import ForgetExports
from chalicelib.core.actions.machines import CancelFleets, RequestFleet, ShrinkFleet
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.watch import DeleteAlarms, DeleteDashboard
from chalicelib.core.config import RunConfig
from chalicelib.core.naming import Names, tags
from chalicelib.core.observation import Observation, ServiceView
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.sizing import Load, load_of
from chalicelib.operations import log_export
from chalicelib.operations import tick as tick_of_one
from tests.sim.history import History
from tests.sim.scenario import Scenario, Upload, plain
from tests.sim.sqs import Queue
from tests.sim.timeline import HOUR
from tests.sim.world import STATE, Laws

Damage = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Defect:
    number: int
    what: str
    breaks: str
    #: A context in which the defect is there.
    damage: Damage
    scenario: Scenario
    #: Attributes of a queue of ours that is there already.
    old_queue: Mapping[str, str] | None = None

    def history(self) -> History:
        history = History(self.scenario)
        if self.old_queue is not None:
            owner = tags(app="App", run_id="App-20260301T1000000000", deployment=STATE)
            history.world.sqs.queues["AppQueue"] = Queue("AppQueue", dict(self.old_queue), owner)
        return history


def _keys(scenario: Scenario, laws: Laws | None = None, **keys: Any) -> Scenario:
    return replace(scenario, keys={**scenario.keys, **keys}, laws=laws or scenario.laws)


# --- how things are damaged ----------------------------------------------------------------------


def _instead(kind: type, act: Callable[[Any, Any, Callable[[Any, Any], None]], None]) -> Damage:
    """What is done for one kind of action; `act` gets the action, the rim, and how it's done."""
    proper = execute.carry_out

    def carry_out(action: Any, rim: Any) -> None:
        if isinstance(action, kind):
            act(action, rim, proper)
        else:
            proper(action, rim)

    return lambda: patch.object(execute, "carry_out", carry_out)


def _three_arguments(*_: Any) -> None:
    raise TypeError("downscaleSpotFleet() takes 2 positional arguments but 3 were given")


def _as_text(action: ShrinkFleet, rim: Any, _: Any) -> None:
    rim.aws.ec2.modify_spot_fleet_request(
        SpotFleetRequestId=action.fleet_id, TargetCapacity=str(action.target)
    )


def _unbound_on_default() -> AbstractContextManager[Any]:
    proper = tick_of_one.decide

    def decide_(record: Any, config: Any, seen: Any) -> Any:
        if record.phase is Phase.TEARING_DOWN and config.ecs_cluster == "default":
            raise UnboundLocalError("cannot access local variable 'cluster'")
        return proper(record, config, seen)

    return patch.object(tick_of_one, "decide", decide_)


def _bare_names(action: DeleteAlarms, rim: Any, proper: Any) -> None:
    names = tuple(name.rpartition("_")[2] for name in action.names)
    proper(replace(action, names=names), rim)


class _Guessed(Names):
    @classmethod
    def of(cls, config: RunConfig) -> Names:
        return replace(Names.of(config), app=config.sqs_queue_name.split("Queue")[0])


def _guessed_names() -> AbstractContextManager[Any]:
    return patch.object(remains, "Names", _Guessed)


def _first_zero() -> AbstractContextManager[Any]:
    return patch.object(decide, "_is_empty", lambda seen: seen.empty_readings >= 1)


def _no_export() -> AbstractContextManager[Any]:
    return patch.object(log_export, "decide_export", lambda *_: (ForgetExports(),))


def _queues_that_begin_so(action: DeleteQueue, rim: Any, _: Any) -> None:
    for url in rim.aws.sqs.list_queues(QueueNamePrefix=action.name).get("QueueUrls", ()):
        rim.aws.sqs.delete_queue(QueueUrl=url)


def _dashboards_that_hold(action: DeleteDashboard, rim: Any, _: Any) -> None:
    for entry in rim.aws.cloudwatch.list_dashboards()["DashboardEntries"]:
        if action.name in entry["DashboardName"]:
            rim.aws.cloudwatch.delete_dashboards(DashboardNames=[entry["DashboardName"]])


def _service_that_ends_so() -> AbstractContextManager[Any]:
    def service(services: Services, names: Names) -> ServiceView | None:
        ecs = services.clients.ecs
        first_page = ecs.list_services(cluster=names.cluster)["serviceArns"]
        found = [arn.rpartition("/")[2] for arn in first_page if arn.endswith(names.service)]
        return look_at_service(ecs, names.cluster, found[0]) if found else None

    return patch.object(remains, "_service", service)


def _wait_for_all(action: RequestFleet, rim: Any, proper: Any) -> None:
    proper(action, rim)
    world = rim.services.clients.world
    while len([m for m in world.ec2.there() if m.user_data]) < action.fleet.machines:
        world.time.pass_time(20)
        if world.time.now > 3 * HOUR:
            return


@contextmanager
def _messages_for_machines() -> Iterator[None]:
    def one_slot(record: RunRecord, config: RunConfig, seen: Observation) -> Load:
        return replace(load_of(record, config, seen), tasks=1, cores=1)

    with patch.object(start, "load_of", one_slot), patch.object(scale_in, "load_of", one_slot):
        yield


def _one_each() -> AbstractContextManager[Any]:
    return patch.object(queue, "BATCH", 1)


# --- the defects ---------------------------------------------------------------------------------

_DCP = _keys(plain(), WORKER="dcp", SQS_MESSAGE_VISIBILITY=900)

DEFECTS = (
    Defect(
        number=1,
        what="the fleet's cancellation is called with one argument too many",
        breaks="machines_left",
        damage=_instead(CancelFleets, _three_arguments),
        scenario=plain(),
    ),
    Defect(
        number=2,
        what="a fleet's new target is sent as text",
        breaks="wasteful",
        damage=_instead(ShrinkFleet, _as_text),
        scenario=_keys(
            replace(plain(), maintain=True, uploads=(Upload(at=5.0, jobs=5),), limit=40 * HOUR),
            Laws(job_seconds=4 * HOUR),
            # Watched from the beginning, a run asks for machines once; not so one that isn't.
            AUTO_MONITOR="False",
            CLUSTER_MACHINES=5,
            DOCKER_CORES=1,
        ),
    ),
    Defect(
        number=3,
        what="the cluster `default` leaves a variable unset",
        breaks="machines_left",
        damage=_unbound_on_default,
        scenario=_keys(plain(), ECS_CLUSTER="default"),
    ),
    Defect(
        number=4,
        what="alarms are deleted by the bare id of their instance",
        breaks="machines_left",
        damage=_instead(DeleteAlarms, _bare_names),
        scenario=_DCP,
    ),
    Defect(
        number=5,
        what="names are guessed by splitting the queue's at 'Queue'",
        breaks="machines_left",
        damage=_guessed_names,
        scenario=_keys(plain(), SQS_QUEUE_NAME="PlatesQueue"),
    ),
    Defect(
        number=6,
        what="one reading of zero ends a run",
        breaks="lost",
        damage=_first_zero,
        scenario=_keys(
            replace(_DCP, seed=5, uploads=(Upload(at=5.0, jobs=40),)), Laws(flap=0.1, room=1)
        ),
    ),
    Defect(
        number=7,
        what="no logs are exported",
        breaks="unexported",
        damage=_no_export,
        scenario=plain(),
    ),
    Defect(
        number=8,
        what="queues are removed by the beginning of their name",
        breaks="foreign_touched",
        damage=_instead(DeleteQueue, _queues_that_begin_so),
        scenario=plain(),
    ),
    Defect(
        number=9,
        what="dashboards are removed that hold the app's name",
        breaks="foreign_touched",
        damage=_instead(DeleteDashboard, _dashboards_that_hold),
        scenario=plain(),
    ),
    Defect(
        number=10,
        what="the service is the first that ends with its name",
        breaks="machines_left",
        damage=_service_that_ends_so,
        scenario=_keys(plain(), ECS_CLUSTER="lab"),
    ),
    Defect(
        number=11,
        what="start waits for all machines",
        breaks="boundless",
        damage=_instead(RequestFleet, _wait_for_all),
        scenario=_keys(plain(), Laws(capacity=((0.0, 1),))),
    ),
    Defect(
        number=13,
        what="messages are compared with machines, not with slots",
        breaks="wasteful",
        damage=_messages_for_machines,
        scenario=_keys(
            replace(plain(), uploads=(Upload(at=5.0, jobs=8),)),
            DOCKER_CORES=4,
            SECONDS_TO_START=0,
            CLUSTER_MACHINES=8,
        ),
    ),
    Defect(
        number=17,
        what="a queue that is there keeps its visibility and retries",
        breaks="wasteful",
        damage=lambda: patch.object(setup, "_different", lambda *_: {}),
        # CellFleet's workers count tries themselves; DCP's leave it to the queue.
        scenario=_keys(
            replace(_DCP, uploads=(Upload(at=5.0, jobs=2),)), Laws(fates=(("stubborn", 1.0),))
        ),
        old_queue={"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"},
    ),
    Defect(
        number=19,
        what="one request for each job",
        breaks="boundless",
        damage=_one_each,
        scenario=_keys(
            replace(plain(), uploads=(Upload(at=5.0, jobs=400),)),
            Laws(job_seconds=5),
            DOCKER_CORES=4,
            SECONDS_TO_START=0,
        ),
    ),
)
