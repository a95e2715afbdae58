"""Configuration files as data: which keys a text holds, before any key is checked."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.config_python import read_python
from chalicelib.errors import ConfigError, Problem

#: A configuration has some 3 kB; this many characters is no configuration.
MOST_CHARACTERS = 65_536


@dataclass(frozen=True, kw_only=True)
class SourceKeys:
    """What a file says, each name as it is spelled there.

    `unread` are keys whose value couldn't be made out (a problem says why); `helpers` are names
    that other values were made from.
    """

    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    unread: frozenset[str] = field(default_factory=frozenset)
    helpers: frozenset[str] = field(default_factory=frozenset)


def read_source(text: str, source: str) -> SourceKeys:
    """Read a file's text in the form that the ending of its name, `source`, tells.

    Raises ConfigError where nothing of it can be read.
    """
    if len(text) > MOST_CHARACTERS:
        found = f"{len(text)} characters"
        raise _unreadable(source, f"must be at most {MOST_CHARACTERS} characters", found)
    text = text.removeprefix("\ufeff")
    ending = source.rpartition(".")[2].lower()
    if ending == "json":
        return _read_json(text, source)
    if ending == "toml":
        return _read_toml(text, source)
    if ending == "py":
        return _read_python(text, source)
    raise _unreadable(source, "must be a .py, .json or .toml file")


def _read_python(text: str, source: str) -> SourceKeys:
    read = read_python(text)
    if read.syntax_error:
        raise ConfigError(source, [read.syntax_error])
    return SourceKeys(
        values=read.values,
        problems=tuple(read.problems),
        warnings=tuple(read.warnings),
        unread=frozenset(read.unread),
        helpers=frozenset(read.used),
    )


def _read_toml(text: str, source: str) -> SourceKeys:
    try:
        return SourceKeys(values=tomllib.loads(text))
    except RecursionError:
        raise _unreadable(source, "must be TOML without deep nesting") from None
    except ValueError as error:
        raise _unreadable(source, f"must be TOML: {error}") from None


def _read_json(text: str, source: str) -> SourceKeys:
    try:
        values = json.loads(text, object_pairs_hook=_once_each, parse_constant=_refuse_constant)
    except RecursionError:
        raise _unreadable(source, "must be JSON without deep nesting") from None
    except _RepeatedError as error:
        where, problem = str(error), "must be given once"
        raise ConfigError(source, [Problem(where=where, expected=problem)]) from None
    except ValueError as error:
        raise _unreadable(source, f"must be JSON: {error}") from None
    if not isinstance(values, dict):
        raise _unreadable(source, "must be a JSON object of keys", type(values).__name__)
    return SourceKeys(values=values)


class _RepeatedError(ValueError):
    """A key that stands twice in one JSON object."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values and not key.startswith("_comment"):
            raise _RepeatedError(repr(key[:60]))
        values[key] = value
    return values


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a value")


def _unreadable(source: str, expected: str, found: str = "") -> ConfigError:
    return ConfigError(source, [Problem(where="the file", found=found, expected=expected)])
