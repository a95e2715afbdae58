"""Set-up: everything a run needs before its first job. Idempotent, and safe to die in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from chalicelib.aws.execute import execute
from chalicelib.aws.observe import look_for_setup
from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.compute import WorkerKind, choose_worker
from chalicelib.core.config import ParsedConfig, RunConfig, recorded_config
from chalicelib.core.fleet_file import from_file
from chalicelib.core.naming import Names, new_run_id
from chalicelib.core.plan import Plan
from chalicelib.core.run import Phase, RunRecord
from chalicelib.core.setup import decide_setup, refuse_foreign
from chalicelib.errors import (
    CellFleetError,
    ConfigError,
    ConflictError,
    NotReadyError,
    Problem,
)
from chalicelib.operations.recover import recover
from chalicelib.operations.sweep import tidy

#: Queue, then containers, then service: each round does what the last one made possible.
_ROUNDS = 8


class SetupFailedError(CellFleetError):
    """AWS refused a step of set-up; running it again goes on where it stopped."""


def set_up(
    services: Services,
    parsed: ParsedConfig,
    *,
    fleet_file: Mapping[str, Any] | None = None,
    adopt: bool = False,
) -> RunRecord:
    """Bring an app to life, or bring a live one in step with its configuration.

    Raises ConfigError, FleetFileError, ConflictError (nothing is created then), NotReadyError
    (an earlier run is still being removed) and SetupFailedError.
    """
    config = parsed.config
    told = parsed.warnings + check_fit(services, config, fleet_file)
    kind, image, note = choose_worker(config, services.settings)
    _wait_for_names(services, config)
    refuse_foreign(
        config,
        look_for_setup(services, config),
        deployment=services.settings.bucket,
        adopt=adopt,
    )

    def make(run_id: str) -> RunRecord:
        return RunRecord(
            run_id=run_id,
            app=config.app_name,
            deployment=services.settings.bucket,
            created_at=services.now(),
            config=config.to_keys(),
            worker=kind,
            image=image,
            fleet_file=fleet_file,
            topic=config.notify_topic or services.settings.topic,
            notes=(*told, *([note] if note else [])),
        )

    fresh_id = new_run_id(config.app_name, services.now(), services.owner)

    def begin(run_id: str) -> RunRecord:
        return make(run_id) if run_id == fresh_id else recover(services, make(run_id))

    record = services.runs.open(config.app_name, begin, fresh_id)
    record = _in_step(services, record, make(record.run_id))
    services.store.put(
        keys.app_config(config.app_name), json.dumps(config.to_keys(), indent=1).encode()
    )
    return converge(services, record)


def check_fit(
    services: Services, config: RunConfig, fleet_file: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """What can be told without AWS: whether this deployment can run such a configuration and fleet
    file, with warnings. Raises ConfigError and FleetFileError."""
    _check_region(services, config)
    told: tuple[str, ...] = ()
    if fleet_file is not None:
        told = from_file(fleet_file, config, source="fleet file").warnings
    _check_roles(services, choose_worker(config, services.settings)[0])
    return told


def converge(
    services: Services, record: RunRecord, *, renew: Callable[[], None] = lambda: None
) -> RunRecord:
    """Do what set-up still lacks by the run's own record, until nothing is left to do.

    `renew` is called before each action. Raises what it raises, SetupFailedError, and
    NotReadyError if the run has ended meanwhile.
    """
    plan: Plan = ()
    for _ in range(_ROUNDS):
        config = recorded_config(record)
        plan = decide_setup(record, config, services.settings, look_for_setup(services, config))
        if not plan:
            return record
        failures = execute(services, record.run_id, plan, renew=renew)
        record = services.runs.load(record.run_id)
        if record.phase is Phase.FINISHED:  # we stood still for long
            tidy(services, record.run_id)
            raise NotReadyError(f"the run {record.run_id} ended while it was being set up")
        if failures:
            raise SetupFailedError("; ".join(str(failure) for failure in failures))
    left = "; ".join(str(action) for action in plan)
    raise SetupFailedError(f"set-up of {record.app} doesn't come to an end; still to do: {left}")


def _in_step(services: Services, record: RunRecord, wanted: RunRecord) -> RunRecord:
    """The live run, with a changed configuration if nothing has been done with the old one."""
    if not record.accepts:
        raise NotReadyError(
            f"the run {record.run_id} is still being removed; set-up works again when it has ended"
        )
    # Keys that came with an upgrade have their defaults.
    present = recorded_config(record).to_keys()
    if present == wanted.config and wanted.fleet_file in (None, record.fleet_file):
        return record
    changed = sorted(key for key in present if present[key] != wanted.config[key])

    def replace(found: RunRecord) -> RunRecord:
        requested = any(fleet.fleet_id for fleet in found.fleets)
        if requested or (changed and (found.submissions or _names(found) != _names(wanted))):
            what = ", ".join(changed) or "the fleet file"
            raise ConflictError(
                f"the app {record.app} is live as run {record.run_id} with another configuration "
                f"({what}). Let it end or stop it first (python run.py stop {record.app}), or "
                "choose another APP_NAME"
            )
        return found.model_copy(
            update={
                "config": wanted.config,
                "worker": wanted.worker,
                "image": wanted.image,
                "topic": wanted.topic,
                "fleet_file": wanted.fleet_file or found.fleet_file,
                "fleets": tuple(fleet.abandon() for fleet in found.fleets),
                "notes": wanted.notes,
            }
        )

    return services.runs.change(record.run_id, replace)


def _names(record: RunRecord) -> Names:
    return Names.of(RunConfig.model_validate({k.lower(): v for k, v in record.config.items()}))


def _wait_for_names(services: Services, config: RunConfig) -> None:
    """SQS frees a deleted queue's name after a minute, and swallows messages until then."""
    latest = services.runs.latest(config.app_name)
    if latest is None or latest.ended_at is None:
        return
    free = latest.ended_at + timedelta(seconds=services.settings.queue_name_seconds)
    if services.now() < free:
        seconds = (free - services.now()).total_seconds()
        raise NotReadyError(
            f"the run {latest.run_id} has just ended, and SQS frees the name of its queue in "
            f"{math.ceil(seconds)} seconds"
        )


def _check_roles(services: Services, kind: WorkerKind) -> None:
    """A worker without a role of its own could read no image."""
    if kind == "cellfleet" and not services.settings.task_role:
        raise ConfigError(
            "environment",
            [
                Problem(
                    where="CELLFLEET_TASK_ROLE",
                    expected="the ARN of the role that workers take, to read images and write "
                    "results",
                    hint="WORKER = 'dcp' runs a DCP image with the machines' role instead",
                )
            ],
        )


def _check_region(services: Services, config: RunConfig) -> None:
    if config.aws_region != services.settings.region:
        raise ConfigError(
            "config",
            [
                Problem(
                    where="AWS_REGION",
                    found=repr(config.aws_region),
                    expected=f"{services.settings.region!r}, where this deployment runs",
                )
            ],
        )
