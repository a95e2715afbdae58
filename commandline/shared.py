"""What all commands do: read the user's files, reach AWS, say what went wrong."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.core.config import ParsedConfig, parse_config
from chalicelib.errors import ConfigError, InputError, Problem

if TYPE_CHECKING:
    from chalicelib.aws.services import Services

#: What the command line reads where no `--config` is given.
CONFIG = "config.py"


def read_config(path: str) -> ParsedConfig:
    try:
        parsed = parse_config(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        expected = "a configuration file that can be read (.py, .json or .toml)"
        problem = Problem(where=path, found=str(error), expected=expected, hint="--config FILE")
        raise ConfigError(path, [problem]) from error
    for warning in parsed.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return parsed


def read_json(path: Path, error_type: type[InputError]) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problem = Problem(where=str(path), found=str(error), expected="a JSON file")
        raise error_type(str(path), [problem]) from error
    if not isinstance(raw, dict):
        problem = Problem(where=str(path), found=type(raw).__name__, expected="a JSON object")
        raise error_type(str(path), [problem])
    return raw


def reach(parsed: ParsedConfig) -> Services:
    """AWS, as environment and configuration say."""
    from chalicelib.aws.services import Services

    config = parsed.config
    environment = {"AWS_REGION": config.aws_region, "CELLFLEET_BUCKET": config.aws_bucket}
    if config.aws_profile not in ("", "default") and "AWS_ACCESS_KEY_ID" not in os.environ:
        os.environ.setdefault("AWS_PROFILE", config.aws_profile)
    return Services.from_environment({**environment, **os.environ})


def reach_by(options: argparse.Namespace) -> tuple[Services, str]:
    """AWS, and the app of the configuration: "" where there is none, and the environment alone
    names the deployment bucket."""
    from chalicelib.aws.services import Services
    from chalicelib.settings import BUCKET

    if options.config == CONFIG and not Path(CONFIG).exists() and os.environ.get(BUCKET):
        return Services.from_environment(), ""
    parsed = read_config(options.config)
    return reach(parsed), parsed.config.app_name


def app_of_config(options: argparse.Namespace) -> str:
    """The app of the configuration; "" where there is none, and none was asked for."""
    if options.config == CONFIG and not Path(CONFIG).exists():
        return ""
    return read_config(options.config).config.app_name


def the_app(named: str, configured: str) -> str:
    """The app that a command is about."""
    if named or configured:
        return named or configured
    problem = Problem(where="APP", expected="the name of the app, as there is no configuration")
    raise InputError("command line", [problem])


def aws_trouble(error: Exception) -> str | None:
    """A sentence for errors that AWS, or the way to it, raised; None for anything else."""
    from chalicelib.aws.errors import AwsError

    if not isinstance(error, AwsError):
        return None
    return f"AWS: {error}\nCheck credentials, AWS_REGION and AWS_ENDPOINT_URL, then try again."
