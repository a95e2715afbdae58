"""What JSON parsers disagree on is refused, and nothing a body holds breaks the parser."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.api.strict_json import TooLargeError, read_json
from chalicelib.errors import InputError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_is_json_is_read_as_json(value: Any) -> None:
    assert read_json(json.dumps(value).encode(), most=100_000) == value


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(body: bytes) -> None:
    with suppress(InputError):
        read_json(body, most=1_000)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": {"b": 1, "b": 2}}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": [-Infinity]}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "JSON"),
        (b'{"a": "\\ud800"}', "whole characters"),
        (b'{"\\udfff": 1}', "whole characters"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 40 + b"]" * 40, "levels"),
        (b"[" * 100_000, "levels"),
        (b'{"a": 1,}', "JSON"),
        (b" \n", "JSON"),
        (b'{"a": 1} {}', "JSON"),
        (b"{'a': 1}", "JSON"),
    ],
)
def test_what_has_two_meanings_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_json(body, most=1_000_000)
    assert said in str(refused.value)


def test_a_body_that_is_too_large_isnt_looked_at() -> None:
    with pytest.raises(TooLargeError, match="101 bytes"):
        read_json(b"{" * 101, most=100)
