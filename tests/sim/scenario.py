"""What happens in one history: the app, its submissions, its user, its monitor, its bad luck.

`of_seed` draws one from a seed; `plain` and `by_hand` are the two whose every call is made to fail.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws.samples import config_keys
from tests.sim.faults import Cell, Kind, Storm
from tests.sim.timeline import HOUR, MINUTE
from tests.sim.world import IMAGES, Laws


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that the user, or somebody with a console, does at a moment."""

    what: str
    at: float
    #: For what lasts: until then.
    until: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A job file that arrives. `events`: the delays after which S3 tells of it."""

    at: float
    jobs: int
    events: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """How the schedule behaves: which share of ticks is left out, comes late, or comes twice."""

    left_out: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    #: Spans without any tick.
    off: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    seed: int
    app: str = "App"
    keys: Mapping[str, Any] = field(default_factory=dict)
    laws: Laws = field(default_factory=Laws)
    uploads: tuple[Upload, ...] = (Upload(at=5.0, jobs=6),)
    #: Machines come by a fleet file of type `maintain`, as DCP's users have it.
    maintain: bool = False
    #: Jobs of the job file that the uploads name as the one to go on with; 0 if none does.
    then: int = 0
    #: Set-up, submitJob and startCluster are typed, instead of a job file being dropped.
    typed: bool = False
    acts: tuple[Act, ...] = ()
    ticks: Ticks = field(default_factory=Ticks)
    cells: tuple[Cell, ...] = ()
    storms: tuple[Storm, ...] = ()
    pause: float = 100.0
    #: No history may take longer, in seconds of its own time.
    limit: float = 40 * HOUR

    @property
    def config(self) -> dict[str, Any]:
        given = {"AWS_BUCKET": IMAGES, "SECONDS_TO_START": 60, "WORKER": "cellfleet", **self.keys}
        return config_keys(self.app, **given)


def plain(seed: int = 1, **changes: Any) -> Scenario:
    """A job file with a configuration is dropped, two machines work, all goes well."""
    return Scenario(seed=seed, keys={"ECS_CLUSTER": "AppCluster", "CLUSTER_MACHINES": 2}, **changes)


def by_hand(seed: int = 2, **changes: Any) -> Scenario:
    """The same with DCP's commands: setup, submitJob, startCluster."""
    return plain(seed, typed=True, **changes)


TOPIC = "arn:aws:sns:us-east-1:123456789012:microscopy"

#: What somebody may delete by hand.
DELETED = (
    "queue",
    "dead letters",
    "service",
    "cluster",
    "task definition",
    "launch template",
    "dashboard",
    "fleet",
    "machine",
    "status",
)


def of_seed(seed: int) -> Scenario:
    """A scenario by lot."""
    chance, more = random.Random(seed), random.Random(f"{seed}/more")
    dcp = chance.random() < 0.15
    uploads = tuple(
        Upload(
            at=5.0 if not number else chance.uniform(0, 90) * MINUTE,
            jobs=chance.choice((1, 2, 5, 9, 20)),
            events=chance.choice(((1.0,), (1.0,), (1.0, 1.5), (2.0, 100.0), (1.0, 4 * HOUR))),
        )
        for number in range(chance.choice((1, 1, 1, 2, 3)))
    )
    return Scenario(
        seed=seed,
        keys=_keys(chance, dcp=dcp) | ({"NOTIFY_TOPIC": TOPIC} if more.random() < 0.3 else {}),
        laws=_laws(chance, dcp=dcp),
        uploads=uploads,
        maintain=more.random() < 0.25,
        then=more.choice((2, 7)) if more.random() < 0.25 and not dcp else 0,
        typed=chance.random() < 0.2,
        acts=_acts(chance),
        ticks=_ticks(chance),
        storms=_storms(chance),
        pause=chance.choice((20.0, 100.0, 400.0)),
    )


def _keys(chance: random.Random, *, dcp: bool) -> dict[str, Any]:
    return {
        "WORKER": "dcp" if dcp else "cellfleet",
        "ECS_CLUSTER": chance.choice(("AppCluster", "AppCluster", "lab", "default")),
        "CLUSTER_MACHINES": chance.choice((1, 2, 3, 5)),
        "TASKS_PER_MACHINE": chance.choice((1, 1, 2)),
        "DOCKER_CORES": chance.choice((1, 2, 4)),
        "SECONDS_TO_START": chance.choice((0, 60, 180)),
        "JOB_RETRIES": chance.choice((1, 3, 3)),
        "SQS_MESSAGE_VISIBILITY": chance.choice((60, 900)),
        "CREATE_DASHBOARD": chance.choice(("True", "True", "False")),
        "CLEAN_DASHBOARD": chance.choice(("True", "True", "False")),
        "AUTO_MONITOR": chance.choice(("True",) * 9 + ("False",)),
    }


def _laws(chance: random.Random, *, dcp: bool) -> Laws:
    # Without a ledger five zero readings tell the end: by the design, they can't all be wrong.
    flap = chance.choice((0.0, 0.0, 0.1, 0.1) if dcp else (0.0, 0.0, 0.1, 0.4))
    capacity = chance.choice(
        (
            ((0.0, 1000),),
            ((0.0, 1000),),
            ((0.0, 1),),
            ((0.0, 0), (chance.uniform(10, 90) * MINUTE, 1000)),
            ((0.0, 2), (chance.uniform(10, 60) * MINUTE, 0), (2 * HOUR, 1000)),
        )
    )
    return Laws(
        boot=chance.choice((60, 240)),
        register=chance.choice((90, 240)),
        pull=chance.choice((20, 300)),
        shutdown=chance.choice((30, 120)),
        deregister=chance.choice((30, 240)),
        drain=chance.choice((20, 180)),
        count_lag=chance.choice((0, 45, 90)),
        flap=flap,
        delete_lag=chance.choice((0, 40, 60)),
        late_ledger=chance.choice((0.0, 0.0, 0.0, 200.0)),
        skew=chance.choice((0.0, 0.0, 60.0, 240.0)),
        page=chance.choice((1000, 1000, 3, 10)),
        versioned=chance.random() < 0.5,
        faulty=chance.choice((0.0, 0.0, 0.2)),
        interruptions=chance.choice((0.0, 0.0, 0.5, 4.0)),
        vanishing=chance.choice((0.0, 0.0, 1.0)),
        capacity=capacity,
        job_seconds=chance.choice((20, 180, 600)),
        fates=chance.choice(
            (
                (),
                (),
                (("flaky", 0.3), ("doomed", 0.1)),
                (("killer", 0.1), ("stubborn", 0.1)),
                (("doomed", 1.0),),
                (("stubborn", 1.0),),
            )
        ),
    )


def _acts(chance: random.Random) -> tuple[Act, ...]:
    acts: list[Act] = []
    for _ in range(chance.choice((0, 0, 1, 2))):
        what = chance.choice(DELETED)
        acts.append(Act(what=f"delete {what}", at=chance.uniform(0, 40) * MINUTE))
    if chance.random() < 0.2:
        acts.append(Act(what="stop", at=chance.uniform(0, 60) * MINUTE))
    if chance.random() < 0.1:
        acts.append(Act(what="purge", at=chance.uniform(2, 30) * MINUTE))
    if chance.random() < 0.1:
        begin = chance.uniform(0, 40) * MINUTE
        what = chance.choice(("corrupt record", "missing record"))
        acts.append(Act(what=what, at=begin, until=begin + chance.uniform(2, 60) * MINUTE))
    if chance.random() < 0.1:
        acts.append(Act(what="lose fleet ids", at=chance.uniform(2, 40) * MINUTE))
    return tuple(acts)


def _ticks(chance: random.Random) -> Ticks:
    off: tuple[tuple[float, float], ...] = ()
    if chance.random() < 0.1:
        begin = chance.uniform(1, 60) * MINUTE
        off = ((begin, begin + chance.choice((10 * MINUTE, 2 * HOUR, 60 * HOUR))),)
    return Ticks(
        left_out=chance.choice((0.0, 0.0, 0.2)),
        late=chance.choice((0.0, 0.0, 0.3)),
        twice=chance.choice((0.0, 0.0, 0.3)),
        off=off,
    )


def _storms(chance: random.Random) -> tuple[Storm, ...]:
    storms = []
    for _ in range(chance.choice((0, 1, 1, 2))):
        begin = chance.uniform(0, 40) * MINUTE
        storms.append(
            Storm(
                kind=chance.choice(list(Kind)),
                start=begin,
                end=begin + chance.choice((1, 5, 20)) * MINUTE,
                chance=chance.choice((0.01, 0.05, 0.3)),
                service=chance.choice(("", "", "s3", "sqs", "ecs", "ec2", "cloudwatch")),
            )
        )
    return tuple(storms)
