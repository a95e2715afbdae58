"""`monitor` and `stop`: a run followed to its end, with what happens to it told line by line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.errors import InputError
from commandline import over_http
from commandline.shared import reach_by, read_json, the_app

if TYPE_CHECKING:
    from chalicelib.aws.services import Services
    from chalicelib.core.run import RunRecord
    from chalicelib.operations.follow import Line

#: Seconds between two looks: `monitor` as DCP's, `stop` as fast as AWS removes things.
MONITOR_SECONDS, STOP_SECONDS = 60.0, 10.0
#: A run that was watched to its end, and in which not every job was done.
NOT_ALL_DONE = 3


def monitor(options: argparse.Namespace) -> int:
    from chalicelib.core.monitor_file import app_of_monitor_file
    from chalicelib.operations.control import watch

    path, cheapest = _monitor_arguments(options)
    services, configured = reach_by(options)
    named = app_of_monitor_file(read_json(path, InputError), str(path)) if path else ""
    verdict, runs = 0, [watch(services, the_app(named, configured), cheapest=cheapest)]
    while runs:
        record = runs.pop(0)
        try:
            runs += _to_its_end(services, record)
        except KeyboardInterrupt:
            return _interrupted(services, record)
        verdict = max(verdict, _verdict(services, record.run_id))
    return verdict


def _to_its_end(services: Services, record: RunRecord) -> list[RunRecord]:
    """Follow a run to its end; the runs that follow it, watched from now on."""
    from chalicelib.core.run import Phase
    from chalicelib.operations.control import watch
    from chalicelib.operations.follow import Line, follow, follow_on

    def rest() -> None:
        _rest(MONITOR_SECONDS)

    _tell(follow(services, record.run_id, rest=rest))
    next_runs: dict[str, RunRecord] = {}
    for found in follow_on(services, record.run_id, rest=rest):
        if isinstance(found, Line):
            _tell([found])
        elif found.phase is not Phase.FINISHED:
            next_runs[found.run_id] = watch(services, found.app, cheapest=record.cheapest)
    return list(next_runs.values())


def stop(options: argparse.Namespace) -> int:
    from chalicelib.operations import control
    from chalicelib.operations.follow import follow
    from chalicelib.operations.tick import tick_run

    if options.api:
        return over_http.stop(options)
    services, configured = reach_by(options)
    app = the_app(options.app, configured)
    record = control.stop(services, app)
    if record is None:
        print(f"The app {app} has nothing to stop: nothing was made yet.")
        return 0
    if options.no_wait:
        tick_run(services, record.run_id)
        phase = services.runs.load(record.run_id).phase
        print(f"Run {record.run_id} is {phase}; the monitor's ticks remove what is left.")
        return 0
    _tell(follow(services, record.run_id, rest=lambda: _rest(STOP_SECONDS), logs=False))
    return 0


def _monitor_arguments(options: argparse.Namespace) -> tuple[Path | None, bool]:
    """Monitor file and mode, of which either may be left out."""
    path: Path | None = options.monitorfile
    if path is not None and str(path).lower() in ("true", "false"):
        return None, str(path).lower() == "true"
    return path, str(options.cheapest).strip().lower() == "true"


def _rest(seconds: float) -> None:
    time.sleep(float(os.environ.get("CELLFLEET_MONITOR_SECONDS", seconds)))


def _tell(lines: Iterable[Line]) -> None:
    for line in lines:
        stamp = datetime.now().astimezone().isoformat(" ", "seconds")
        print(stamp, line.text, file=sys.stderr if line.error else sys.stdout, flush=True)


def _interrupted(services: Services, record: RunRecord) -> int:
    """Ctrl-C ends the watching, never the run."""
    from chalicelib.operations.control import unwatch

    by_itself = unwatch(services, record.run_id)
    print(f"\nstopped watching; the run {record.run_id} itself goes on", file=sys.stderr)
    if by_itself:
        print("The deployed monitor looks after it to its end.", file=sys.stderr)
    else:
        print(
            "AUTO_MONITOR is off: nobody removes its machines when the jobs are done. Run "
            f"python run.py monitor again, or end it now: python run.py stop {record.app}",
            file=sys.stderr,
        )
    return 130


def _verdict(services: Services, run_id: str) -> int:
    """Whether every job of a finished run was done."""
    from chalicelib.core.run import STOPPED
    from chalicelib.operations.follow import last_status

    status = last_status(services, run_id)
    stopped = services.runs.load(run_id).outcome == STOPPED
    return NOT_ALL_DONE if stopped or (status is not None and status.dead) else 0
