"""Embedded AWS for the tests of this room, and the small tools they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import EmbeddedAWS
from tests.local.tools import Ground, Recorder, Site


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


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """A server whose ECS agent's endpoint answers for the site of the test that runs."""
    ground = Ground()
    with EmbeddedAWS(protector=ground) as running:
        ground.aws = running
        yield ground


@pytest.fixture
def site(ground: Ground, tmp_path: Path) -> Iterator[Site]:
    """An ECS stand-in that looks only when told to (`site.step()`), on an AWS without machines."""
    with Site(ground.aws, tmp_path) as opened:
        ground.site = opened
        yield opened
    ground.clear()
