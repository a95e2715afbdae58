import sys
import textwrap

import pytest

from examples.server import LocalServer, ServerError


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-u", "-c", textwrap.dedent(text))


READY = """
    import signal, sys, time
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    print("endpoint  http://127.0.0.1:4566")
    print("bucket    cellfleet-local")
    print("CellFleet local is ready")
    time.sleep(60)
"""


def test_it_reads_what_the_server_announces_and_stops_it() -> None:
    with LocalServer(program(READY)) as server:
        server.wait_until_ready(seconds=30)
        server.check()
        assert server.endpoint == "http://127.0.0.1:4566"
        assert server.bucket == "cellfleet-local"
        assert "is ready" in server.tail
    with pytest.raises(ServerError, match="exit code 0"):
        server.check()


def test_it_is_stopped_when_the_demo_fails() -> None:
    server = LocalServer(program(READY))

    def fail() -> None:
        with server:
            server.wait_until_ready(seconds=30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(ServerError):
        server.check()


def test_a_server_that_ends_early_says_what_it_printed_last() -> None:
    with (
        LocalServer(program("raise SystemExit('no moto here')")) as server,
        pytest.raises(ServerError, match=r"exit code 1\.\nno moto here"),
    ):
        server.wait_until_ready(seconds=30)


def test_a_server_that_never_gets_ready_is_given_up() -> None:
    with (
        LocalServer(program("import time; time.sleep(60)")) as server,
        pytest.raises(ServerError, match="not ready after 0 s"),
    ):
        server.wait_until_ready(seconds=0.1)


def test_a_server_that_names_no_bucket_is_not_ready() -> None:
    with (
        LocalServer(program(READY.replace("bucket ", "place "))) as server,
        pytest.raises(ServerError, match="named no bucket"),
    ):
        server.wait_until_ready(seconds=30)
