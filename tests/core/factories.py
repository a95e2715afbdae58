"""Small makers of what the core works on: give what matters to a test, get the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.core.config import RunConfig, parse_config, parse_keys
from chalicelib.core.fleet import Image
from chalicelib.core.fleet_file import from_settings
from chalicelib.core.naming import tags
from chalicelib.core.observation import (
    Account,
    InstanceView,
    Observation,
    Progress,
    QueueView,
    ServiceView,
)
from chalicelib.core.run import Fleet, RunRecord, Submission
from chalicelib.settings import Settings

GOLDEN = Path(__file__).parent.parent / "golden"

NOW = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
REGION, ACCOUNT = "us-east-1", "123456789012"
APP, RUN, DEPLOYMENT = "Screen", "Screen-20240301T0930004f2a", "imaging-core-cellfleet"

#: An account where only the deployment's bucket was named.
BARE = Settings(bucket=DEPLOYMENT, region=REGION)
#: An account that was prepared for CellFleet.
PREPARED = Settings(
    bucket=DEPLOYMENT,
    region=REGION,
    subnets=("subnet-0a1b2c3d4e5f60718", "subnet-0b2c3d4e5f6071829", "subnet-0c3d4e5f607182930"),
    security_groups=("sg-0d4e5f60718293041",),
    instance_profile=f"arn:aws:iam::{ACCOUNT}:instance-profile/cellfleet-machine",
    fleet_role=f"arn:aws:iam::{ACCOUNT}:role/cellfleet-fleet",
    task_role=f"arn:aws:iam::{ACCOUNT}:role/cellfleet-worker",
    execution_role=f"arn:aws:iam::{ACCOUNT}:role/cellfleet-logs",
    worker_image=f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/cellfleet-worker:0.1.0_4.2.8",
)

#: Today's ECS image: one volume. The first one kept containers on a second volume.
TODAYS_IMAGE = Image(
    image_id="ami-0e5f6071829304152", root_device="/dev/xvda", snapshots={"/dev/xvda": 30}
)
FIRST_IMAGE = Image(
    image_id="ami-fad25980",
    root_device="/dev/xvda",
    snapshots={"/dev/xvda": 8, "/dev/xvdcz": 22},
)

OURS = tags(app=APP, run_id=RUN, deployment=DEPLOYMENT)
#: Of an earlier run of the same app: ours as well.
EARLIER = tags(app=APP, run_id=f"{APP}-20240229T0800000000", deployment=DEPLOYMENT)
#: Not ours: without tags, another app's, another deployment's.
FOREIGN: tuple[dict[str, str], ...] = (
    {},
    tags(app="Screen2", run_id="Screen2-1", deployment=DEPLOYMENT),
    OURS | {"cellfleet.deployment": "somebody-elses"},
)


def config(**keys: Any) -> RunConfig:
    """A configuration with CellFleet's monitor on; keys are DCP's."""
    base = {
        "APP_NAME": APP,
        "AWS_BUCKET": "imaging-core",
        "AUTO_MONITOR": "True",
        "SECONDS_TO_START": 0,
        "SQS_MESSAGE_VISIBILITY": 3600,
    }
    return parse_keys(base | keys, "test").config


def example(number: int) -> RunConfig:
    """One of the two configurations that the reference manual describes."""
    path = GOLDEN / "config" / f"example_{number}.py"
    return parse_config(path.read_text(encoding="utf-8"), path.name).config


def fleet_file(name: str) -> dict[str, Any]:
    """A user's fleet file."""
    content = json.loads((GOLDEN / "fleet" / "files" / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def task_arn(family: str, revision: int = 1) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}"


def service_arn(cluster: str, name: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/{cluster}/{name}"


def record(settings: RunConfig | None = None, **fields: Any) -> RunRecord:
    """A run that is set up, without jobs or machines."""
    settings = settings or config()
    app = settings.app_name
    values: dict[str, Any] = {
        "run_id": f"{app}-20240301T0930004f2a",
        "app": app,
        "deployment": DEPLOYMENT,
        "created_at": NOW,
        "config": settings.to_keys(),
        "worker": "cellfleet",
        "image": PREPARED.worker_image,
        "queue_url": queue_url(settings.sqs_queue_name),
        "dead_letter_url": queue_url(settings.sqs_dead_letter_queue),
        "task_definition": task_arn(f"{app}Task"),
    }
    return RunRecord(**(values | fields))


def started(settings: RunConfig, jobs: int, **fields: Any) -> RunRecord:
    """A run that wants machines for so many jobs."""
    values: dict[str, Any] = {"start": True, "submissions": {"5a": submission(jobs)}}
    return record(settings, **(values | fields))


def unborn(settings: RunConfig | None = None, **fields: Any) -> RunRecord:
    """A run that nothing was made for yet."""
    nothing = {"queue_url": "", "dead_letter_url": "", "task_definition": ""}
    return record(settings, **(nothing | fields))


def submission(jobs: int, *, closed: bool = True) -> Submission:
    return Submission(
        source="s3://imaging-core-cellfleet/jobs/Screen/a.json", jobs=jobs, closed=closed
    )


def fleet(
    machines: int,
    *,
    number: int = 1,
    fleet_id: str | None = None,
    asked: datetime = NOW,
    valid: timedelta = timedelta(minutes=30),
) -> Fleet:
    """A request of the run; with `fleet_id` "", one that AWS hasn't answered."""
    return Fleet(
        token=f"token-{number}",
        machines=machines,
        request={"ClientToken": f"token-{number}", "TargetCapacity": machines},
        requested_at=asked,
        valid_until=asked + valid,
        fleet_id=f"sfr-{number}" if fleet_id is None else fleet_id,
    )


def queue(
    name: str = "ScreenQueue", *, owner: Mapping[str, str] = OURS, **fields: Any
) -> QueueView:
    values: dict[str, Any] = {"url": queue_url(name), "arn": queue_arn(name), "attributes": {}}
    return QueueView(**(values | {"tags": dict(owner)} | fields))


def service(*, owner: Mapping[str, str] = OURS, **fields: Any) -> ServiceView:
    values: dict[str, Any] = {
        "arn": service_arn("default", "ScreenService"),
        "status": "ACTIVE",
        "desired": 0,
        "running": 0,
        "pending": 0,
        "task_definition": task_arn("ScreenTask"),
        "tags": dict(owner),
    }
    return ServiceView(**(values | fields))


def machines(count: int) -> tuple[InstanceView, ...]:
    return tuple(InstanceView(instance_id=f"i-{n}", state="running") for n in range(count))


def account(settings: RunConfig, *templates: str) -> Account:
    """What a prepared account offers, and the launch templates that are there."""
    return Account(
        fleet=from_settings(settings, PREPARED, account=ACCOUNT),
        images={"": TODAYS_IMAGE},
        launch_templates=templates,
    )


def seen(**fields: Any) -> Observation:
    """One look: a queue and a service of ours, nothing else."""
    values: dict[str, Any] = {
        "now": NOW,
        "queue": queue(),
        "service": service(),
        "progress": Progress(),
    }
    return Observation(**(values | fields))
