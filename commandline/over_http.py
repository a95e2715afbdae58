"""`setup`, `submitJob`, `startCluster` and `stop` with `--api`: the deployment does them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commandline.shared import app_of_config, the_app


def setup(options: argparse.Namespace, app: str) -> int:
    from commandline.remote import Remote

    run = Remote(options.api).set_up(app, Path(options.config), adopt=options.adopt)
    print(f"{run.app} is set up as run {run.run}")
    print(f"  worker   {run.image} ({run.worker})")
    for note in run.notes:
        print(f"  note     {note}")
    print("Next: python run.py submitJob JOBFILE")
    return 0


def submit_job(options: argparse.Namespace, app: str) -> int:
    from chalicelib.core.api.answers import UploadAnswer
    from commandline.remote import Remote

    sent = Remote(options.api).submit(app, options.jobfile)
    if isinstance(sent, UploadAnswer):
        print(f"Job file uploaded as {sent.job_file}: it is sent, and machines are started.")
        return 0
    for message in sent.messages:
        print(f"note: {message}", file=sys.stderr)
    merged = f" ({sent.duplicates} duplicates merged)" if sent.duplicates else ""
    told = f"{sent.jobs} jobs{merged} in run {sent.run}" if sent.run else "it waits"
    print(f"Job file {sent.submission} is {sent.state}: {told}")
    print("Next: python run.py startCluster [FLEETFILE]")
    return 0


def start_cluster(options: argparse.Namespace, app: str, fleet: Mapping[str, Any] | None) -> int:
    from commandline.remote import Remote

    run = Remote(options.api).start(app, fleet)
    for error in run.errors:
        print(f"error: {error}", file=sys.stderr)
    print(f"Run {run.run}: {run.machines.there} machines, at most {run.machines.at_most}")
    return 1 if run.errors else 0


def stop(options: argparse.Namespace) -> int:
    from commandline.remote import Remote

    run = Remote(options.api).stop(the_app(options.app, app_of_config(options)))
    print(f"Run {run.run} is {run.phase}; the monitor's ticks remove what is left.")
    return 0
