#!/usr/bin/env python3
"""The command line: DCP's four commands and a few more. What they do is in `commandline`.

    python run.py setup [--config FILE] [--adopt]
    python run.py submitJob JOBFILE [--config FILE]
    python run.py startCluster [FLEETFILE] [--config FILE]
    python run.py monitor [MONITORFILE] [True] [--config FILE]
    python run.py stop [APP] [--no-wait] [--config FILE]
    python run.py runs [APP] [--live] [--config FILE]
    python run.py status [RUN] [--json] [--config FILE]
    python run.py failures [RUN] [--dead] [--json] [--config FILE]
    python run.py scale MACHINES [APP] [--config FILE]
    python run.py redrive [RUN] [--cause CAUSE] [--job ID] [--config FILE]
    python run.py sweep [--dry-run] [--lost] [--config FILE]
    python run.py account create [BUCKET] [--bucket NAME] [--dcp-images] [--dry-run] …
    python run.py account show|delete
    python run.py local [--port P] [--bucket NAME] [--seconds-per-tick S]
    python run.py demo

With `--api URL`, all but monitor, sweep, local and demo are done by a deployment's HTTP API.
AWS_ENDPOINT_URL and the other AWS variables are honoured. State is kept in the bucket that
CELLFLEET_BUCKET names, or else in the configuration's AWS_BUCKET.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chalicelib.errors import CellFleetError
from commandline import account
from commandline.monitor import monitor, stop
from commandline.runs import failures, redrive, runs, scale, status
from commandline.shared import CONFIG, aws_trouble
from commandline.submit import setup, start_cluster, submit_job
from commandline.sweep import sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 a run that
    was watched ended with jobs given up or was stopped, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["local"]:
        from local.serve import main as local

        return local(given[1:])
    if given[:1] == ["demo"]:
        from examples.demo import main as demo

        return demo()
    options = _parser().parse_args(given)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except CellFleetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{options.interrupted}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        told = aws_trouble(error)
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
        added.add_argument("--config", default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")
        return added

    def with_api(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument(
            "--api", default="", metavar="URL", help="have it done by the HTTP API at this address"
        )
        return with_config(added)

    set_up = with_api(command("setup", setup, "create queue, containers and logs of an app"))
    set_up.add_argument("--adopt", action="store_true", help="take over what DCP left")
    submit = with_api(
        command(
            "submitJob",
            submit_job,
            "send the jobs of a job file",
            "stopped half-way; python run.py monitor sends the rest",
        )
    )
    submit.add_argument("jobfile", type=Path)
    start = with_api(command("startCluster", start_cluster, "request machines"))
    start.add_argument("fleetfile", type=Path, nargs="?", help="default: the account's settings")
    watch = with_config(
        command(
            "monitor",
            monitor,
            "watch a run and clean up at its end",
            "stopped watching; the run itself goes on",
        )
    )
    watch.add_argument("monitorfile", type=Path, nargs="?", help="default: the config's app")
    watch.add_argument("cheapest", nargs="?", default="False", help="True: as cheap as can be")
    end = with_api(
        command(
            "stop",
            stop,
            "end a run now and remove everything of it but results and logs",
            "stopped waiting; the same command goes on, and so does the deployed monitor",
        )
    )
    end.add_argument("app", nargs="?", default="", help="default: the config's APP_NAME")
    end.add_argument("--no-wait", action="store_true", help="don't wait until nothing is left")
    _about_runs(command, with_api)
    rest = with_config(command("sweep", sweep, "remove what no live run of this deployment needs"))
    rest.add_argument("--dry-run", action="store_true", help="show it, and remove nothing")
    rest.add_argument(
        "--lost",
        action="store_true",
        help="also everything of runs whose record is gone or can't be read",
    )
    account.arguments(
        command("account", None, "prepare the AWS account: roles, bucket, security group, topic")
    )
    command("local", None, "an AWS on this machine, with real workers (see local --help)")
    command("demo", None, "render a sample plate and analyse it on an embedded AWS")
    return parser


def _about_runs(command: Any, with_api: Any) -> None:
    """The commands that look at runs, and tell them something."""
    listed = with_api(command("runs", runs, "list runs, by app and time"))
    listed.add_argument("app", nargs="?", default="", help="of this app only")
    listed.add_argument("--live", action="store_true", help="only those that haven't finished")
    for name, run, text in (
        ("status", status, "say how a run stands"),
        ("failures", failures, "list failed tries of a run's jobs, and why they failed"),
        ("redrive", redrive, "send a run's dead jobs again"),
    ):
        about = with_api(command(name, run, text))
        about.add_argument(
            "run", nargs="?", default="", help="its id, or an app; default: the config's app"
        )
        if run is not redrive:
            about.add_argument("--json", action="store_true", help="for programs")
        if run is failures:
            about.add_argument("--dead", action="store_true", help="only jobs that were given up")
        if run is redrive:
            about.add_argument("--cause", action="append", help="only jobs that died of it")
            about.add_argument("--job", action="append", metavar="ID", help="only this job")
    bound = with_api(command("scale", scale, "bound the machines of a live run"))
    bound.add_argument("machines", metavar="MACHINES", help="at most so many; all: no bound")
    bound.add_argument("app", nargs="?", default="", help="default: the config's APP_NAME")


if __name__ == "__main__":
    sys.exit(main())
