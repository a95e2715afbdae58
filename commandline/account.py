"""`account create`, `show` and `delete`: what an AWS account needs before CellFleet runs in it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.core.account import STACK, AccountRequest, environment
from chalicelib.errors import InputError, NotFoundError, Problem
from chalicelib.settings import BUCKET
from commandline.shared import CONFIG, read_config

if TYPE_CHECKING:
    from chalicelib.aws.clients import Clients
    from chalicelib.operations.account import Prepared

PROJECT = Path(__file__).resolve().parents[1]
TEMPLATE = PROJECT / "infra" / "account.yaml"
STAGES = PROJECT / ".chalice" / "config.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `account` takes."""
    parser.set_defaults(command=account)
    what = parser.add_subparsers(required=True, metavar="create|show|delete", dest="what")
    made = what.add_parser("create", help="make it, or change what differs")
    made.add_argument("deployment", nargs="?", metavar="BUCKET", help="the deployment bucket")
    for option, name, text in (
        ("--bucket", "NAME", "another bucket that workers read and write"),
        ("--read-bucket", "NAME", "a bucket that workers only read"),
        ("--kms-key", "ARN", "a key that objects in these buckets are encrypted with"),
        ("--subnet", "ID", "where machines may start; default: all of the VPC's"),
    ):
        made.add_argument(option, metavar=name, action="append", help=text)
    made.add_argument("--vpc", metavar="ID", help="default: the account's default VPC")
    made.add_argument("--security-group", metavar="ID", help="an own one instead of a new one")
    made.add_argument("--email", metavar="ADDRESS", help="is told of runs that ended")
    made.add_argument(
        "--keep-runs", metavar="DAYS", type=int, help="delete records of runs after so many days"
    )
    yes_no = argparse.BooleanOptionalAction
    made.add_argument("--dcp-images", action=yes_no, help="DCP's worker images can be run")
    made.add_argument("--existing-dcp-roles", action=yes_no, help="the roles of DCP's set-up")
    shown = what.add_parser("show", help="what is there, as lines for a shell")
    ended = what.add_parser("delete", help="take back what create made; data stays")
    for one in (made, shown, ended):
        one.add_argument("--stack", default=STACK, metavar="NAME", help=f"default: {STACK}")
        one.add_argument("--region", metavar="NAME", help="default: AWS_REGION, or the config's")
        one.add_argument("--config", default=CONFIG, metavar="FILE", help=f"default: {CONFIG}")
        if one is not shown:
            one.add_argument("--dry-run", action="store_true", help="say what would be done")
        if one is not ended:
            one.add_argument(
                "--stage", metavar="NAME", help="write it into this stage of .chalice/config.json"
            )


def account(options: argparse.Namespace) -> int:
    commands = {"create": create, "show": show, "delete": delete}
    return commands[options.what](options)


def create(options: argparse.Namespace) -> int:
    from chalicelib.operations.account import create as prepare

    clients, configured = _reach(options)
    bucket = options.deployment or os.environ.get(BUCKET) or configured
    if not bucket:
        expected = "the name of the deployment bucket: python run.py account create my-bucket"
        raise InputError("command line", [Problem(where="BUCKET", expected=expected)])
    request = AccountRequest(
        bucket=bucket,
        stack=options.stack,
        buckets=_listed(options.bucket),
        read_buckets=_listed(options.read_bucket),
        kms_keys=_listed(options.kms_key),
        vpc=options.vpc,
        subnets=_listed(options.subnet),
        security_group=options.security_group,
        existing_dcp_roles=options.existing_dcp_roles,
        dcp_images=options.dcp_images,
        email=options.email,
        keep_runs_days=options.keep_runs,
    )
    done = prepare(
        clients,
        request,
        TEMPLATE.read_text(encoding="utf-8"),
        sleep=time.sleep,
        dry_run=options.dry_run,
        told=_tell,
    )
    if options.dry_run:
        return _would(done)
    if not done.plan:
        print(f"Account {done.seen.account} is prepared already.", file=sys.stderr)
    _notes(done)
    return _export(done.seen.stack, options)


def show(options: argparse.Namespace) -> int:
    from chalicelib.aws.account import look_at_stack

    clients, _ = _reach(options)
    stack = look_at_stack(clients, options.stack)
    if stack is None:
        raise NotFoundError(
            f"there is no stack {options.stack} in {clients.region}: "
            "python run.py account create BUCKET makes it"
        )
    print(f"# stack {options.stack} in {clients.region}: {stack.status}")
    _export(stack, options)
    return 0 if stack.well else 1


def delete(options: argparse.Namespace) -> int:
    from chalicelib.operations.account import delete as take_back

    clients, _ = _reach(options)
    done = take_back(clients, options.stack, sleep=time.sleep, dry_run=options.dry_run, told=_tell)
    if options.dry_run:
        return _would(done)
    if not done.plan:
        print(f"There is no stack {options.stack} in {clients.region}: nothing to delete.")
        return 0
    kept = [name for name, view in done.seen.buckets.items() if view.state == "own"]
    for name in kept:
        print(f"kept: the bucket {name} with all that is in it")
    print("kept: the roles that AWS services have in the account, and all roles of others")
    return 0


def _reach(options: argparse.Namespace) -> tuple[Clients, str]:
    """AWS, and the bucket of the configuration, "" without one."""
    from chalicelib.aws.clients import Clients

    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    bucket = ""
    if options.config != CONFIG or Path(CONFIG).exists():
        config = read_config(options.config).config
        region, bucket = region or config.aws_region, config.aws_bucket
        if config.aws_profile not in ("", "default") and "AWS_ACCESS_KEY_ID" not in os.environ:
            os.environ.setdefault("AWS_PROFILE", config.aws_profile)
    return Clients(region or "us-east-1"), bucket


def _listed(given: list[str] | None) -> tuple[str, ...] | None:
    """One empty value empties the list."""
    return None if given is None else tuple(part for part in given if part)


def _tell(action: object) -> None:
    print(action, file=sys.stderr, flush=True)


def _would(done: Prepared) -> int:
    for action in done.plan:
        print(f"would {action}")
    if not done.plan:
        print("Nothing to do.")
    _notes(done)
    return 0


def _notes(done: Prepared) -> None:
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)


def _export(stack: Any, options: argparse.Namespace) -> int:
    variables = environment(stack)
    for name, value in variables.items():
        print(f"export {name}={value}")
    if options.stage:
        _write_stage(options.stage, variables)
    return 0


def _write_stage(stage: str, variables: dict[str, str]) -> None:
    """Into the environment of a stage; what else stands there stays."""
    text = STAGES.read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    if stage not in config["stages"]:
        expected = "one of " + ", ".join(config["stages"])
        raise InputError("command line", [Problem(where="--stage", found=stage, expected=expected)])
    config["stages"][stage].setdefault("environment_variables", {}).update(variables)
    written = json.dumps(config, indent=2) + "\n"
    if written != text:
        STAGES.write_text(written, encoding="utf-8")
    print(f"# written into the stage {stage} of {STAGES}")
