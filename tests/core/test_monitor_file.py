"""The monitor file: DCP's keys, from the record and the configuration."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.monitor_file import app_of_monitor_file, monitor_file
from chalicelib.errors import InputError
from tests.core.factories import NOW, config, record

STARTED = datetime(2024, 3, 1, 9, 31, 2, 345_000, tzinfo=UTC)


def test_dcps_keys() -> None:
    settings = config(
        ECS_CLUSTER="imaging",
        SQS_QUEUE_NAME="QueueQueue",
        LOG_GROUP_NAME="lab/logs",
        CLEAN_DASHBOARD="true",
    )
    found = monitor_file(record(settings, started_at=STARTED), settings, "sfr-1")
    assert json.loads(found) == {
        "MONITOR_FLEET_ID": "sfr-1",
        "MONITOR_APP_NAME": "Screen",
        "MONITOR_ECS_CLUSTER": "imaging",
        "MONITOR_QUEUE_NAME": "QueueQueue",
        "MONITOR_BUCKET_NAME": "imaging-core",
        "MONITOR_LOG_GROUP_NAME": "lab/logs",
        "MONITOR_START_TIME": "1709285462345",
        "CLEAN_DASHBOARD": "True",
    }


def test_the_start_is_in_milliseconds() -> None:
    found = json.loads(monitor_file(record(), config(), "sfr-1"))
    milliseconds = int(found["MONITOR_START_TIME"])
    assert datetime.fromtimestamp(0, tz=UTC) + timedelta(milliseconds=milliseconds) == NOW


def test_the_app_is_read_back() -> None:
    written = json.loads(monitor_file(record(), config(SQS_QUEUE_NAME="X"), "sfr-1"))
    assert app_of_monitor_file(written, "monitor.json") == "Screen"


@pytest.mark.parametrize("raw", [{}, {"MONITOR_APP_NAME": ""}, {"MONITOR_APP_NAME": 7}])
def test_a_file_without_an_app_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"monitor\.json.*\n.*MONITOR_APP_NAME"):
        app_of_monitor_file(raw | {"MONITOR_QUEUE_NAME": "ScreenQueue"}, "monitor.json")
