"""For any input: a configuration that survives its own keys, or a ConfigError; nothing executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.config import RunConfig, parse_config, parse_keys
from chalicelib.core.config_keys import KINDS
from chalicelib.errors import ConfigError

KEYS = [name.upper() for name in KINDS]

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)

WHOLES = {
    "CLUSTER_MACHINES": st.integers(1, 10_000),
    "EBS_VOL_SIZE": st.integers(22, 16_384),
    "SECONDS_TO_START": st.integers(0, 43_200),
    "SQS_MESSAGE_VISIBILITY": st.integers(1, 43_200),
    "JOB_RETRIES": st.integers(1, 1000),
    "DOCKER_CORES": st.integers(1, 4),
}
VALID = st.fixed_dictionaries(
    {
        "APP_NAME": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", fullmatch=True),
        "AWS_BUCKET": st.from_regex(r"[a-z][a-z0-9-]{2,40}[a-z]", fullmatch=True),
    },
    optional={
        **WHOLES,
        "MACHINE_PRICE": st.none() | st.floats(0.0001, 1000),
        "MACHINE_TYPE": st.lists(
            st.sampled_from(["m5.xlarge", "r5.xlarge", "m6i.2xlarge", "x1.32xlarge"]), min_size=1
        ),
        "NECESSARY_STRING": st.text(st.characters(categories=["L", "N", "P"]), max_size=20),
        "UPLOAD_FLAGS": st.sampled_from(["", "--acl private", "--quiet --sse", "False"]),
        "DOWNLOAD_FILES": st.booleans() | st.sampled_from(["True", "FALSE"]),
        "SOURCE_BUCKET": st.sampled_from(["False", "", "images", None]),
        "WORKER": st.sampled_from(["auto", "dcp", "CellFleet"]),
    },
)


def outcome(raw: dict[str, Any]) -> RunConfig | ConfigError:
    try:
        return parse_keys(raw, "test").config
    except ConfigError as error:
        return error


def check(found: RunConfig | ConfigError) -> None:
    """An error says why, printably; a configuration is made again from its keys."""
    if isinstance(found, ConfigError):
        assert found.problems
        assert all(str(problem).isprintable() for problem in found.problems)
    else:
        assert outcome(found.to_keys()) == found


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=20), ANYTHING, max_size=8))
def test_any_mapping_is_read_or_refused(raw: dict[str, Any]) -> None:
    check(outcome(raw))


@given(st.sampled_from(KEYS), ANYTHING)
def test_any_value_of_any_key_is_read_or_refused(key: str, value: Any) -> None:
    check(outcome({"APP_NAME": "Screen", "AWS_BUCKET": "my-lab", key: value}))


@given(VALID)
def test_a_valid_configuration_survives_its_keys(raw: dict[str, Any]) -> None:
    found = outcome(raw)
    assert isinstance(found, RunConfig)
    check(found)


PIECES = st.sampled_from(
    ["APP_NAME", "A", "=", "+", "-", "*", "/", "**", "(", ")", "[", "]", ",", "'x'", "1", "1e9",
     "\n", ":", " ", "if", "lambda", "open", "print", "()", "f'{A}'", "import os", "True", ".", "#"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
@pytest.mark.parametrize("ending", ["py", "json", "toml"])
def test_any_text_is_read_or_refused(ending: str, text: str) -> None:
    try:
        found: RunConfig | ConfigError = parse_config(text, f"config.{ending}").config
    except ConfigError as error:
        found = error
    check(found)


def test_nothing_of_a_config_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    text = f"""
open({str(trace)!r}, 'w')
APP_NAME = open({str(trace)!r}, 'w').name
import os; os.mkdir({str(trace)!r})
ECS_CLUSTER = f"{{__import__('os').mkdir({str(trace)!r})}}"
@open({str(trace)!r}, 'w')
class MEMORY: open({str(trace)!r}, 'w')
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "config.py")
    assert caught.value.total == 7  # six statements, and AWS_BUCKET missing
    assert not trace.exists()
