import os
from collections.abc import Iterator

import boto3
import pytest
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from examples.demo import local_session


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An empty AWS on loopback."""
    moto_api_backend.reset()  # moto's state is the process's, not the server's
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        yield url
    finally:
        server._server.shutdown()  # type: ignore[union-attr]
        server._thread.join()  # type: ignore[union-attr]


@pytest.fixture
def session() -> boto3.Session:
    return local_session("us-east-1")


@pytest.fixture
def cellprofiler() -> str:
    """The real CellProfiler's executable."""
    executable = os.environ.get("CELLFLEET_CELLPROFILER", "")
    if not executable:
        pytest.skip("CELLFLEET_CELLPROFILER names no CellProfiler")
    return executable
