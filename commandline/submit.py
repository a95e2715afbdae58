"""`setup`, `submitJob` and `startCluster`: DCP's first three commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chalicelib.errors import FleetFileError, InputError, Problem
from commandline import over_http
from commandline.shared import reach, read_config, read_json


def setup(options: argparse.Namespace) -> int:
    from chalicelib.operations.setup import set_up

    parsed = read_config(options.config)
    if options.api:
        return over_http.setup(options, parsed.config.app_name)
    record = set_up(reach(parsed), parsed, adopt=options.adopt)
    print(f"{record.app} is set up as run {record.run_id}")
    print(f"  queue    {record.queue_url}")
    print(f"  worker   {record.image} ({record.worker})")
    for note in record.notes:
        print(f"  note     {note}")
    print("Next: python run.py submitJob JOBFILE")
    return 0


def submit_job(options: argparse.Namespace) -> int:
    from chalicelib.core import keys
    from chalicelib.core.jobfile import read_header
    from chalicelib.operations.submit import Upload, submit

    parsed = read_config(options.config)
    path: Path = options.jobfile
    app = parsed.config.app_name
    if not path.is_file():
        raise InputError(
            str(path), [Problem(where=str(path), expected="a job file that can be read")]
        )
    read_header(lambda: path.open("rb"), str(path))
    if options.api:
        return over_http.submit_job(options, app)
    services = reach(parsed)
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


def start_cluster(options: argparse.Namespace) -> int:
    from chalicelib.operations.control import live_run, start

    parsed = read_config(options.config)
    path: Path | None = options.fleetfile
    fleet = read_json(path, FleetFileError) if path else None
    app = parsed.config.app_name
    if options.api:
        return over_http.start_cluster(options, app, fleet)
    services = reach(parsed)
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
