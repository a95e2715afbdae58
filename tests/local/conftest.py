"""Embedded AWS for the tests of this room, and the small tools they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import EmbeddedAWS
from tests.local.tools import Recorder, Site


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAWS]:
    """A server for all tests of a module; they use names of their own."""
    with EmbeddedAWS() as running:
        yield running


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[EmbeddedAWS, Recorder]]:
    """A server that writes down what it would deliver to Lambda functions."""
    recorder = Recorder()
    with EmbeddedAWS(deliver=recorder.deliver) as running:
        yield running, recorder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server and an ECS stand-in that looks only when told to (`site.step()`)."""
    with EmbeddedAWS() as running, Site(running, tmp_path) as opened:
        yield opened
