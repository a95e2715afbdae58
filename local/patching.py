"""Replacing parts of moto for as long as the embedded AWS runs."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


class Patches(ExitStack):
    """Replaced attributes; leaving the context puts the originals back, last one first.

    moto is patched, never boto3: what is replaced stands behind the endpoint, where AWS would.
    """

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Set `owner.name` to `make(original)`."""
        original = getattr(owner, name)
        setattr(owner, name, make(original))
        self.callback(setattr, owner, name, original)

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute that `owner` lacks."""
        setattr(owner, name, value)
        self.callback(delattr, owner, name)
