"""The union of actions is closed: what is declared as an action is in it."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from chalicelib.core import actions
from chalicelib.core.plan import Action


def test_every_action_is_in_the_union() -> None:
    names = [found.name for found in iter_modules(actions.__path__, f"{actions.__name__}.")]
    declared = {
        thing
        for name in names
        for thing in vars(import_module(name)).values()
        if isinstance(thing, type) and is_dataclass(thing) and thing.__module__ == name
    }
    assert declared == set(get_args(Action))
