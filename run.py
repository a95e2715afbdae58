#!/usr/bin/env python3
"""The command line: DCP's four commands and a few more, thin over `chalicelib.operations`.

    python run.py setup [--config FILE] [--adopt]
    python run.py submitJob JOBFILE [--config FILE]
    python run.py startCluster [FLEETFILE] [--config FILE]
    python run.py monitor [MONITORFILE] [True] [--config FILE]
    python run.py stop APP
    python run.py local [--port P] [--bucket NAME] [--seconds-per-tick S]
    python run.py demo

AWS_ENDPOINT_URL and the other AWS variables are honoured. State is kept in the bucket that
CELLFLEET_BUCKET names, or else in the configuration's AWS_BUCKET.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from chalicelib.core.config import ParsedConfig, parse_config
from chalicelib.errors import CellFleetError, ConfigError, FleetFileError, InputError, Problem

#: Seconds between two looks of `monitor`, as DCP's.
MONITOR_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 refused or failed, 2 wrong usage, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["local"]:
        from local.serve import main as local

        return local(given[1:])
    if given[:1] == ["demo"]:
        from examples.demo import main as demo

        return demo()
    options = _parser().parse_args(given)
    try:
        return int(options.command(options))
    except CellFleetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{options.interrupted}", file=sys.stderr)
        return 130
    except Exception as error:
        told = _aws_trouble(error)
        if told is None:
            raise
        print(told, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="CellProfiler over any number of image groups on AWS."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Any,
        text: str,
        interrupted: str = "stopped half-way; the same command goes on from here",
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run, interrupted=interrupted)
        return added

    def with_config(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument(
            "--config", default="config.py", metavar="FILE", help="default: config.py"
        )
        return added

    setup = with_config(command("setup", _setup, "create queue, containers and logs of an app"))
    setup.add_argument("--adopt", action="store_true", help="take over what DCP left")
    submit = with_config(
        command(
            "submitJob",
            _submit,
            "send the jobs of a job file",
            "stopped half-way; python run.py monitor sends the rest",
        )
    )
    submit.add_argument("jobfile", type=Path)
    start = with_config(command("startCluster", _start, "request machines"))
    start.add_argument("fleetfile", type=Path, nargs="?", help="default: the account's settings")
    watch = with_config(
        command(
            "monitor",
            _monitor,
            "watch a run and clean up at its end",
            "stopped watching; the run itself goes on",
        )
    )
    watch.add_argument("monitorfile", type=Path, nargs="?", help="default: the config's app")
    watch.add_argument("cheapest", nargs="?", default="False", help="True: as cheap as can be")
    stop = with_config(command("stop", _stop, "end a run now and remove everything of it"))
    stop.add_argument("app", nargs="?", help="default: the config's APP_NAME")
    command("local", None, "an AWS on this machine, with real workers (see local --help)")
    command("demo", None, "render a sample plate and analyse it on an embedded AWS")
    return parser


def _read(path: str) -> ParsedConfig:
    try:
        parsed = parse_config(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        expected = "a configuration file that can be read (.py, .json or .toml)"
        problem = Problem(where=path, found=str(error), expected=expected, hint="--config FILE")
        raise ConfigError(path, [problem]) from error
    for warning in parsed.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return parsed


def _read_json(path: Path, error_type: type[InputError]) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problem = Problem(where=str(path), found=str(error), expected="a JSON file")
        raise error_type(str(path), [problem]) from error
    if not isinstance(raw, dict):
        problem = Problem(where=str(path), found=type(raw).__name__, expected="a JSON object")
        raise error_type(str(path), [problem])
    return raw


def _services(parsed: ParsedConfig) -> Any:
    """The rim, as environment and configuration say."""
    from chalicelib.aws.services import Services

    config = parsed.config
    environment = {"AWS_REGION": config.aws_region, "CELLFLEET_BUCKET": config.aws_bucket}
    if config.aws_profile not in ("", "default") and "AWS_ACCESS_KEY_ID" not in os.environ:
        os.environ.setdefault("AWS_PROFILE", config.aws_profile)
    return Services.from_environment({**environment, **os.environ})


def _setup(options: argparse.Namespace) -> int:
    from chalicelib.operations.setup import set_up

    parsed = _read(options.config)
    record = set_up(_services(parsed), parsed, adopt=options.adopt)
    print(f"{record.app} is set up as run {record.run_id}")
    print(f"  queue    {record.queue_url}")
    print(f"  worker   {record.image} ({record.worker})")
    for note in record.notes:
        print(f"  note     {note}")
    print("Next: python run.py submitJob JOBFILE")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from chalicelib.core import keys
    from chalicelib.core.jobfile import read_header
    from chalicelib.operations.submit import Upload, submit

    parsed = _read(options.config)
    path: Path = options.jobfile
    services = _services(parsed)
    app = parsed.config.app_name
    if not path.is_file():
        raise InputError(
            str(path), [Problem(where=str(path), expected="a job file that can be read")]
        )
    read_header(lambda: path.open("rb"), str(path))
    stamp = f"{services.now():%Y%m%dT%H%M%S%f}"
    key = keys.submitted(app, stamp, path.name)
    with path.open("rb") as stream:
        services.clients.s3.upload_fileobj(stream, services.settings.bucket, key)
    upload = Upload(
        app=app,
        name=path.stem,
        bucket=services.settings.bucket,
        key=key,
        sequencer=stamp,
        start=False,
    )
    outcome = submit(services, upload)
    for message in outcome.messages:
        print(f"{'refused' if outcome.state == 'refused' else 'note'}: {message}", file=sys.stderr)
    if outcome.state == "waiting":
        print("Next: python run.py monitor, which sends it as soon as it can")
        return 0
    services.store.delete(key)
    if outcome.state != "closed":
        return 1
    merged = f" ({outcome.duplicates} duplicates merged)" if outcome.duplicates else ""
    print(f"Job submitted: {outcome.jobs} jobs{merged} in run {outcome.run_id}")
    print("Next: python run.py startCluster [FLEETFILE]")
    return 0


def _start(options: argparse.Namespace) -> int:
    from chalicelib.operations.control import live_run, start

    parsed = _read(options.config)
    services = _services(parsed)
    path: Path | None = options.fleetfile
    fleet = _read_json(path, FleetFileError) if path else None
    app = parsed.config.app_name
    status = start(services, app, fleet, source=str(path or ""))
    record = live_run(services, app)
    for error in status.errors if status else ():
        print(f"error: {error}", file=sys.stderr)
    for requested in record.fleets:
        print(f"SpotFleetRequestId {requested.fleet_id}: {requested.machines} machines requested")
    if not record.fleets:
        print("No machines are wanted yet: the run has no jobs. They start with the first ones.")
    bucket = parsed.config.aws_bucket
    print(f"Monitor file: s3://{bucket}/monitors/{app}SpotFleetRequestId.json")
    print("Next: python run.py monitor, or leave it to the deployed monitor")
    return 1 if status is not None and status.errors else 0


def _monitor(options: argparse.Namespace) -> int:
    from chalicelib.core.monitor_file import app_of_monitor_file
    from chalicelib.core.run import Phase
    from chalicelib.operations.control import watch
    from chalicelib.operations.resume import resume_all
    from chalicelib.operations.tick import tick_run

    cheapest = str(options.cheapest).strip().lower() == "true"
    path: Path | None = options.monitorfile
    if path is not None and str(path).lower() in ("true", "false"):
        path, cheapest = None, str(path).lower() == "true"
    parsed = _read(options.config)
    services = _services(parsed)
    app = parsed.config.app_name
    if path is not None:
        app = app_of_monitor_file(_read_json(path, InputError), str(path))
    record = watch(services, app, cheapest=cheapest)
    seconds = float(os.environ.get("CELLFLEET_MONITOR_SECONDS", MONITOR_SECONDS))
    told = ""
    while record.phase is not Phase.FINISHED:
        status = tick_run(services, record.run_id)
        for outcome in resume_all(services, app):
            print(f"Job file {outcome.submission}: {outcome.state}", *outcome.messages, flush=True)
        record = services.runs.load(record.run_id)
        if status is not None:
            line = (
                f"In process: {status.in_flight or 0} Pending {status.waiting or 0} "
                f"Done {status.done} Dead {status.dead} of {status.jobs} "
                f"Machines {status.machines}"
            )
            for error in status.errors:
                print(f"error: {error}", file=sys.stderr)
            if line != told:
                print(datetime.now().astimezone().isoformat(" ", "seconds"), line, flush=True)
                told = line
        if record.phase is not Phase.FINISHED:
            time.sleep(seconds)
    print(f"Run {record.run_id} is {record.outcome}; nothing of it is left running.")
    return 0


def _stop(options: argparse.Namespace) -> int:
    from chalicelib.operations.control import stop
    from chalicelib.operations.tick import tick_run

    parsed = _read(options.config)
    services = _services(parsed)
    record = stop(services, options.app or parsed.config.app_name)
    tick_run(services, record.run_id)
    phase = services.runs.load(record.run_id).phase
    print(f"Run {record.run_id} is {phase}; its ticks remove what is left.")
    return 0


def _aws_trouble(error: Exception) -> str | None:
    """A sentence for errors that AWS, or the way to it, raised; None for anything else."""
    from chalicelib.aws.errors import AwsError

    if not isinstance(error, AwsError):
        return None
    return f"AWS: {error}\nCheck credentials, AWS_REGION and AWS_ENDPOINT_URL, then try again."


if __name__ == "__main__":
    sys.exit(main())
