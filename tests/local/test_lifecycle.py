"""The embedded AWS comes up, goes down, and leaves the process as it was."""

import os
import socket

import pytest

from local.aws import EmbeddedAWS, environment
from local.patching import Patches


def test_after_stopping_the_port_is_free_and_everything_forgotten() -> None:
    with EmbeddedAWS(bucket="first") as first:
        port = int(first.endpoint.rsplit(":", 1)[1])

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with EmbeddedAWS(bucket="second", port=port) as second:
        client = second.client("s3")
        assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["second"]
        client.close()


def test_a_taken_port_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            EmbeddedAWS(port=taken.getsockname()[1]).start()


def test_the_environment_hides_the_users_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere")
    monkeypatch.setenv("CELLFLEET_CELLPROFILER", "/opt/cellprofiler")
    before = dict(os.environ)

    with environment({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
        aws = {name for name in os.environ if name.startswith("AWS_")}
        assert aws == {"AWS_ENDPOINT_URL"}
        assert os.environ["CELLFLEET_CELLPROFILER"] == "/opt/cellprofiler"

    assert dict(os.environ) == before


def test_patches_are_taken_back() -> None:
    class Part:
        name = "original"

    with Patches() as patches:
        patches.replace(Part, "name", lambda original: original + ", mended")
        patches.replace(Part, "name", lambda original: original + ", twice")
        assert Part.name == "original, mended, twice"
    assert Part.name == "original"


def test_two_at_once_are_refused() -> None:
    with EmbeddedAWS() as first:
        with pytest.raises(RuntimeError, match="one embedded AWS"):
            EmbeddedAWS().start()
        client = first.client("s3")
        assert client.list_buckets()["Buckets"]
        client.close()
