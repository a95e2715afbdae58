"""An S3, SQS and CloudWatch Logs on loopback, and workers that use them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from tests.worker.world import World


@pytest.fixture(scope="package")
def endpoint() -> Iterator[str]:
    """The address of the emulator."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="package")
def aws(endpoint: str) -> Any:
    """Makes clients of the emulator."""

    def client(service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=50
            ),
        )

    return client


@pytest.fixture
def s3(aws: Any) -> Any:
    return aws("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def world(aws: Any, endpoint: str, bucket: str, tmp_path: Path) -> Iterator[World]:
    """A run with its queues, a small plate, and a CellProfiler that is a script."""
    world = World.make(aws, endpoint, bucket, tmp_path)
    yield world
    for engine in world.engines:
        engine.close()


@pytest.fixture(scope="package")
def cellprofiler() -> str:
    """The real CellProfiler."""
    path = os.environ.get("CELLFLEET_CELLPROFILER", "")
    if not path:
        pytest.skip("CELLFLEET_CELLPROFILER doesn't name a CellProfiler")
    return path
