"""The configuration of an app, from whatever form the user has it in.

`parse_config` reads a file (DCP's `config.py`, JSON or TOML), `parse_keys` a mapping of keys.
Both give a valid `RunConfig` with warnings, or raise `ConfigError` with everything that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chalicelib.core.config_checks import check_together
from chalicelib.core.config_docs import DOCS
from chalicelib.core.config_keys import KINDS, canonical, nearest, show
from chalicelib.core.config_model import RunConfig
from chalicelib.core.config_source import SourceKeys, read_source
from chalicelib.core.config_types import Unfit
from chalicelib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from chalicelib.core.run import RunRecord

__all__ = ["ParsedConfig", "RunConfig", "parse_config", "parse_keys", "recorded_config"]

_MOST_PROBLEMS = 100
# For checking the rest of a configuration that lacks these.
_STAND_INS = {"app_name": "App", "aws_bucket": "bucket"}


@dataclass(frozen=True)
class ParsedConfig:
    """A valid configuration, and what the user should know about it, a sentence each."""

    config: RunConfig
    warnings: tuple[str, ...]


def parse_config(text: str, source: str) -> ParsedConfig:
    """Read a configuration file's text. The ending of `source`, its name, tells the form.

    Raises ConfigError.
    """
    return _parse(read_source(text, source), source)


def parse_keys(raw: Mapping[str, Any], source: str) -> ParsedConfig:
    """Check a mapping of keys; `source` says in messages where they come from.

    Keys are DCP's, in any case, also with spaces for underscores; those that begin with
    `_comment` are passed over. Raises ConfigError.
    """
    return _parse(SourceKeys(values=raw), source)


def recorded_config(record: RunRecord) -> RunConfig:
    """The configuration that a run's record holds. Checked once for each content."""
    return _of_record(json.dumps(record.config, sort_keys=True), record.run_id)


@lru_cache(maxsize=100)
def _of_record(keys: str, run_id: str) -> RunConfig:
    return parse_keys(json.loads(keys), f"run {run_id}").config


def _parse(found: SourceKeys, source: str) -> ParsedConfig:
    problems = list(found.problems)
    given, name_problems = _by_field(found)
    problems += name_problems
    values: dict[str, Any] = {}
    wrong = {canonical(name) for name in found.unread}
    for field, raw in given.items():
        try:
            values[field] = KINDS[field].read(raw)
        except Unfit as unfit:
            wrong.add(field)
            problems.append(
                Problem(
                    where=field.upper(),
                    found=show(raw),
                    expected=f"must be {unfit.expected}",
                    hint=unfit.hint,
                )
            )
    problems += _missing(values, wrong)
    config = RunConfig.model_validate({**_STAND_INS, **values})
    together, warnings = check_together(config, wrong | (_STAND_INS.keys() - values.keys()))
    problems += together
    if problems:
        raise ConfigError(source, problems[:_MOST_PROBLEMS], total=len(problems))
    return ParsedConfig(config, (*found.warnings, *warnings, *_on_defaults(values)))


def _by_field(found: SourceKeys) -> tuple[dict[str, Any], list[Problem]]:
    """The values by field name, without those that mean "not given"; and what's wrong with names."""
    given: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    problems: list[Problem] = []
    fields = {canonical(str(name)) for name in found.values}
    for name, raw in found.values.items():
        field = canonical(str(name))
        if str(name).lower().startswith("_comment") or _is_helper(str(name), found, fields):
            continue
        if field not in KINDS:
            problems.append(_unknown(str(name), raw, suggest=len(problems) < _MOST_PROBLEMS))
        elif KINDS[field].absent(raw):
            continue
        elif field in given and not _same(given[field], raw):
            problems.append(
                Problem(
                    where=str(name)[:60],
                    found=show(raw),
                    expected=f"must agree with {spelled[field]}, the same key",
                    hint=f"{spelled[field]} is {show(given[field])}; keep one of the two",
                )
            )
        else:
            given[field], spelled[field] = raw, str(name)
    return given, problems


def _is_helper(name: str, found: SourceKeys, fields: set[str]) -> bool:
    """Whether a name of a config.py only serves others: neither a key, nor one gone wrong."""
    if name not in found.helpers:
        return False
    if canonical(name) in KINDS:
        return not name.isupper() and name.upper() in found.values
    meant = nearest(name, alike=0.8)
    return meant is None or canonical(meant) in fields


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _unknown(name: str, raw: Any, *, suggest: bool) -> Problem:
    meant = nearest(name) if suggest else None
    return Problem(
        where=name if name.isidentifier() and len(name) <= 60 else show(name),
        found=show(raw),
        expected="must be one of the configuration keys",
        hint=f"did you mean {meant}?" if meant else "docs/configuration.md lists them all",
    )


def _missing(values: Mapping[str, Any], wrong: set[str]) -> list[Problem]:
    return [
        Problem(
            where=name.upper(),
            expected=f"is required: {KINDS[name].expected}",
            hint=f"for example {DOCS[name].example!r}",
        )
        for name, field in RunConfig.model_fields.items()
        if field.is_required() and name not in values and name not in wrong
    ]


def _on_defaults(values: Mapping[str, Any]) -> list[str]:
    if "auto_monitor" in values:
        return []
    return [
        "AUTO_MONITOR isn't given, so it is off, as in DCP: nothing removes the run's machines at "
        "its end. AUTO_MONITOR = 'True' does."
    ]
