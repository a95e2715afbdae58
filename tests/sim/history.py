"""One history: a world, a scenario, and the real control plane, from the first upload until nothing
is left and nothing comes back."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import quote_plus

from chalicelib.aws.services import Services
from chalicelib.contract.groups import submission_id
from chalicelib.core.config import parse_keys
from chalicelib.core.run import RunRecord
from chalicelib.errors import CellFleetError
from chalicelib.handlers.monitor import tick
from chalicelib.handlers.submit import on_job_file
from chalicelib.handlers.sweep import sweep
from chalicelib.operations import control
from chalicelib.operations.setup import set_up
from chalicelib.operations.submit import Upload as Submitted
from chalicelib.operations.submit import submit
from chalicelib.settings import Settings
from tests.aws.samples import job_file
from tests.sim import acts, foreign
from tests.sim.edge import Process
from tests.sim.errors import Death
from tests.sim.faults import Call, Faults, Kind
from tests.sim.leftovers import leftovers
from tests.sim.scenario import Scenario, Upload
from tests.sim.timeline import HOUR, MINUTE
from tests.sim.world import NEXT, STATE, World

#: A Lambda's time.
_TIMEOUT = timedelta(minutes=15)
#: After how long, in seconds, a user types a command again that didn't work.
PATIENCE = 40.0
#: How long after the end the world is watched on, to see that nothing comes back.
_AFTERWARDS = 5 * MINUTE

SETTINGS = Settings(
    bucket=STATE,
    region="us-east-1",
    subnets=("subnet-0a1b2c3d4e5f60718",),
    security_groups=("sg-0d4e5f60718293041",),
    task_role="arn:aws:iam::123456789012:role/cellfleet-worker",
    execution_role="arn:aws:iam::123456789012:role/cellfleet-logs",
)


#: A fleet file as DCP's users have it: its type is `maintain`.
FLEET_FILE = {
    "IamFleetRole": "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role",
    "Type": "maintain",
    "LaunchSpecifications": [
        {
            "ImageId": "ami-0e5f6071829304152",
            "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/worker"},
            "SecurityGroups": [{"GroupId": "sg-0d4e5f60718293041"}],
            "SubnetId": "subnet-0a1b2c3d4e5f60718",
        }
    ],
}


class OneByOne(Executor):
    """Does what it is given at once, in order: no threads, no chance."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Sent:
    """A job file as it was uploaded."""

    key: str
    version: str
    etag: str
    jobs: int
    number: int


@dataclass
class Invocation:
    """What one process did: for the invariants."""

    entry: str
    at: float
    calls: int
    machines: int
    met: list[tuple[Kind, Call]]
    error: str = ""
    died: bool = False
    seconds: float = 0.0
    pending: bool = False


@dataclass
class History:
    """Run it once, then look at it."""

    scenario: Scenario
    world: World = field(init=False)
    portrait: dict[str, Any] = field(init=False)
    sent: list[Sent] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    #: When the last thing was done to the run from outside.
    last_act: float = 0.0
    #: When nothing was left for the first time since; None: something still is.
    clean_at: float | None = None
    stopped: bool = False
    #: How often the user starts a run again whose fleet was given up.
    patience: int = 3
    #: When a tick was left out.
    left_out: list[float] = field(default_factory=list)
    #: What was found wrong while it went on.
    offences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = self.scenario
        laws = replace(found.laws, room=int(found.config["TASKS_PER_MACHINE"]))
        faults = Faults(
            random.Random(found.seed + 1), cells=found.cells, storms=found.storms, pause=found.pause
        )
        self.world = World(found.seed, laws, faults)
        self._chance = random.Random(found.seed + 2)
        foreign.settle(self.world)
        self.portrait = foreign.portrait(self.world)

    # --- the whole of it -------------------------------------------------------------------------

    def run(self) -> History:
        """To the quiet end, or to the limit of its time."""
        with _silence():
            self._plan()
            time, scenario = self.world.time, self.scenario
            limit = scenario.limit + sum(end - begin for begin, end in scenario.ticks.off)
            quiet = max([act.at for act in (*scenario.uploads, *scenario.acts)]) + _AFTERWARDS
            while time.now < limit:
                time.pass_time(MINUTE)
                if not self._is_over():
                    self.clean_at = None
                elif self.clean_at is None:
                    self.clean_at = time.now
                elif time.now > max(self.clean_at + _AFTERWARDS, quiet) and not self._exporting():
                    break
        return self

    def _plan(self) -> None:
        time, scenario = self.world.time, self.scenario
        if scenario.then:
            body = job_file(scenario.then, output="results/next")
            self.world.s3.write(STATE, NEXT, json.dumps(body).encode())
        if scenario.typed:
            time.at(1.0, self._set_up)
        else:
            self._plan_uploads()
        for act in scenario.acts:
            time.at(act.at, lambda a=act: acts.do(self, a))  # type: ignore[misc]
        if scenario.config["AUTO_MONITOR"] != "True":
            # Nobody watches but the user, who comes back after the work.
            time.every(30 * MINUTE, lambda: acts.watch(self))
        time.every(20 * MINUTE, lambda: acts.look_after(self))
        time.after(MINUTE, self._schedule)
        time.every(HOUR, lambda: self.invoke("sweep", sweep))

    def _plan_uploads(self) -> None:
        for number, upload in enumerate(self.scenario.uploads):
            when = max(upload.at, self.world.time.now)
            self.world.time.at(when, lambda n=number, u=upload: self._upload(n, u))  # type: ignore[misc]

    def _is_over(self) -> bool:
        """Nothing is live, nothing waits, nothing is left."""
        bucket = self.world.s3.buckets[STATE]
        if bucket.below("live/") or bucket.below("runs/pending/") or not self._taken():
            return False
        return not leftovers(self)

    def _taken(self) -> bool:
        """Every job file has a claim: whose events are lost, a sweep finds."""
        return len(self.sent) == len(self.scenario.uploads) and all(
            self.claim(sent) is not None for sent in self.sent
        )

    @property
    def followed(self) -> list[Sent]:
        """The next job file, once for each run that went on with it."""
        return [
            Sent(NEXT, "", f"after {record.run_id}", self.scenario.then, 0)
            for record in self.records()
            if NEXT in record.went_on
        ]

    def _exporting(self) -> bool:
        """Logs may follow a run's end."""
        return bool(self.world.s3.buckets[STATE].below("runs/exporting/"))

    # --- the schedule ----------------------------------------------------------------------------

    def _schedule(self) -> None:
        """The next minute's tick, as AWS's scheduler has it: late, left out, or twice."""
        law, chance, time = self.scenario.ticks, self._chance, self.world.time
        time.after(MINUTE, self._schedule)
        if any(begin <= time.now < end for begin, end in law.off):
            return
        if chance.random() < law.left_out:
            self.left_out.append(time.now)
            return
        time.after(chance.uniform(0, 50) if chance.random() < law.late else 0.0, self.tick)
        if chance.random() < law.twice:
            time.after(chance.uniform(0, 3), self.tick)

    def tick(self) -> None:
        phases = {record.phase for record in self.records() if record.phase != "finished"}
        ending = phases & {"ending", "tearing-down"}
        self.invoke("teardown" if ending else "tick", tick)

    # --- the user --------------------------------------------------------------------------------

    def _set_up(self) -> None:
        """Typed until it works; only then are job files sent."""
        parsed = parse_keys(self.scenario.config, "config.py")
        if self.invoke("setup", lambda services: set_up(services, parsed)):
            self._plan_uploads()
        else:
            self.world.time.after(PATIENCE, self._set_up)

    def start(self) -> bool:
        app = self.scenario.app
        fleet = FLEET_FILE if self.scenario.maintain else None
        return self.invoke("start", lambda services: control.start(services, app, fleet))

    def _start_for(self, sent: Sent) -> None:
        """Typed until it works, once the job file has found its run; not if it never will."""
        claim = self.claim(sent)
        taken = claim is not None and claim["state"] in ("closed", "refused")
        run = next((r for r in self.records() if claim and r.run_id == claim["run_id"]), None)
        gone_by = taken and (run is None or run.start or run.phase == "finished")
        if not gone_by and not (taken and self.start()):
            self.world.time.after(PATIENCE, lambda: self._start_for(sent))

    def _upload(self, number: int, upload: Upload) -> None:
        typed, app = self.scenario.typed, self.scenario.app
        extra: dict[str, Any] = {} if typed else {"config": self.scenario.config}
        if self.scenario.maintain and not typed:
            extra["fleet"] = FLEET_FILE
        if self.scenario.then:
            extra["then"] = NEXT
        body = json.dumps(job_file(upload.jobs, output=f"results/{number}", **extra)).encode()
        key = f"submitted/{app}/{number}.json" if typed else f"jobs/{app}/plate {number}.json"
        written = self.world.s3.write(STATE, key, body)
        version = written.version if self.world.laws.versioned else ""
        sent = Sent(key, version, written.etag.strip('"'), upload.jobs, number)
        self.sent.append(sent)
        if typed:
            self._type_submit(sent)
        for delay in () if typed else upload.events:
            self.world.time.after(delay, lambda: self._deliver(sent, 2))

    def _deliver(self, sent: Sent, retries: int) -> None:
        """S3's event, delivered again when the Lambda fails."""
        stored = {"key": quote_plus(sent.key), "eTag": sent.etag, "sequencer": f"0{sent.key}"}
        if sent.version:
            stored["versionId"] = sent.version
        event = {"Records": [{"s3": {"bucket": {"name": STATE}, "object": stored}}]}
        done = self.invoke("submit", lambda services: on_job_file(services, event))
        if not done and retries:
            self.world.time.after(MINUTE, lambda: self._deliver(sent, retries - 1))

    def _type_submit(self, sent: Sent) -> None:
        upload = Submitted(
            app=self.scenario.app,
            name=str(sent.number),
            bucket=STATE,
            key=sent.key,
            version=sent.version,
            sequencer=sent.etag,
            start=False,
        )
        if self.invoke("submit", lambda services: submit(services, upload)):
            self.world.time.after(10.0, lambda: self._start_for(sent))
        else:
            self.world.time.after(PATIENCE, lambda: self._type_submit(sent))

    # --- processes -------------------------------------------------------------------------------

    def invoke(self, entry: str, function: Callable[[Services], Any]) -> bool:
        """Run one process of the control plane; whether it came to its end."""
        world = self.world
        process = Process(world, entry)
        done = Invocation(entry, world.time.now, 0, len(world.ec2.there()), process.met)
        done.pending = bool(world.s3.buckets[STATE].below("runs/pending/"))
        self.invocations.append(done)
        number = len(self.invocations)
        skew = self._chance.uniform(-1, 1) * min(world.laws.skew, 60.0)
        services = Services(
            settings=SETTINGS,
            clients=process,  # type: ignore[arg-type]
            now=lambda: world.time.moment() + timedelta(seconds=skew),
            deadline=world.time.moment() + _TIMEOUT,
            owner=f"process-{number}",
            executor=OneByOne,
        )
        try:
            function(services)
        except Death:
            done.died = True
        except CellFleetError as error:
            done.error = str(error)
        except Exception as error:
            done.error = f"{type(error).__name__}: {error}"
        finally:
            process.dead = True
            done.calls, done.seconds = process.calls, world.time.now - done.at
        return not done.died and not done.error

    # --- looking at it ---------------------------------------------------------------------------

    @property
    def entries(self) -> Counter[str]:
        """How often each kind of process began."""
        return Counter(done.entry for done in self.invocations)

    def records(self) -> Iterator[RunRecord]:
        """All runs' records that can be read."""
        bucket = self.world.s3.buckets[STATE]
        for key in bucket.below("runs/"):
            if key.endswith("/run.json"):
                try:
                    yield RunRecord.from_json(bucket.objects[key].body)
                except ValueError:
                    continue

    def read(self, key: str) -> Any:
        body = self.world.s3.read(STATE, key)
        try:
            return json.loads(body) if body is not None else None
        except ValueError:
            return None

    def claim(self, sent: Sent) -> Any:
        """The claim of a job file, under whichever name it was taken: an event names it by a
        number that only the event knows, and a sweep by its ETag."""
        for number in (sent.version, f"0{sent.key}", sent.etag):
            if number:
                name = submission_id(STATE, sent.key, number)
                found = self.read(f"apps/{self.scenario.app}/submissions/{name}.json")
                if found is not None:
                    return {"name": name, **found}
        return None

    def moment_to_seconds(self, moment: datetime) -> float:
        return (moment - self.world.time.moment()).total_seconds() + self.world.time.now


@contextmanager
def _silence() -> Iterator[None]:
    """The control plane logs a lot, and prints its metrics; nobody reads it here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)
