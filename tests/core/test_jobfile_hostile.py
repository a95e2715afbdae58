"""Files that no one should send: refused with reasons, in bounded memory, never with a crash."""

import json
import resource

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core import jobfile
from chalicelib.core.jobfile_header import MAX_GROUPS
from chalicelib.errors import JobFileError
from tests.core.jobfiles import Slow, checked, jobs_of, refusal, texts, wheres, written

GOOD = written(texts("Metadata_Well=A01", "Metadata_Well=A02"), config={"APP_NAME": "Fly"})
NUMBERS = ("9" * 5000, "1e99999999999999999999", "-", "NaN", "Infinity", "01", "1e5", "-0.0")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=12,
)
keys = st.sampled_from(
    ["pipeline", "data_file", "input", "output", "output_structure", "groups", "config", "fleet"]
)
metadata = st.sampled_from(["Metadata", "Metadata_Well", "Metadata_", "_comment", "Well"])
groups = st.lists(
    json_values
    | st.dictionaries(metadata, json_values)
    | st.tuples(st.dictionaries(metadata, json_values), json_values)
)


def never_crashes(data: bytes) -> None:
    """A file is either accepted, and then every job can be made, or refused with reasons."""
    refused = None
    try:
        assert len(jobs_of(data)) == checked(data).jobs
    except JobFileError as error:
        refused = error
    assert refused is None or refused.total >= len(refused.problems) > 0


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"null")
@example(b'"text"')
@example(b"\x1f\x8b\x08\x00 gzip")
def test_any_bytes(data: bytes) -> None:
    never_crashes(data)


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=6))
def test_a_good_file_with_a_piece_replaced(start: int, end: int, piece: bytes) -> None:
    never_crashes(GOOD[:start] + piece + GOOD[end:])


@given(st.dictionaries(keys, json_values))
def test_any_values_for_the_header(content: dict[str, object]) -> None:
    never_crashes(written(**{"groups": texts("Metadata_Well=A01"), **content}))


@given(groups)
def test_any_groups(content: list[object]) -> None:
    never_crashes(written(content, output_structure="Metadata_Well"))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "place",
    ['{"Metadata": %s}', '{"Metadata": {"Metadata_Well": %s}}', "[{}, [%s]]", '{"_comment": %s}'],
)
def test_odd_numbers(number: str, place: str) -> None:
    file = written(["HERE"], output_structure="Metadata_Well")
    never_crashes(file.replace(b'"HERE"', (place % number).encode()))


@pytest.mark.parametrize(
    "text",
    [
        "A\x00", "A\x1f", "A\x7f", "A\x85", "A\ufffe", "../A", "/A", "A/", ".", "a/./b", "a//b",
        "A\\B", " ", "",
    ],
)  # fmt: skip
def test_values_that_make_no_folder(text: str) -> None:
    file = written(texts(f"Metadata_Well={text}"), output_structure="Metadata_Well")
    assert wheres(refusal(file)) == ["groups[0]"]


@pytest.mark.parametrize("text", ["A/B", "A B", "..A", "A..", "ü😀", "%s{0}", "\xa0A", "'\"$(A)`"])
def test_values_that_do(text: str) -> None:
    (job,) = jobs_of(written(texts(f"Metadata_Well={text}")))
    assert job.folder == f"proj/output/{text}"


HALVES = [rb"\ud800", rb"\uD83Dx", rb"\ud83d\u0041", rb"\ude00", rb"\\\ud800", rb"\ud83d"]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("shift", [0, *range(65_520, 65_540, 2)])
def test_half_a_surrogate_pair_is_refused_wherever_a_chunk_ends(half: bytes, shift: int) -> None:
    start = b'{"_comment": "' + b"x" * max(0, shift - 14)
    never_refused = start + b"\\ud83d\\ude00\\\\ud800" + b'", ' + GOOD[1:]
    assert checked(never_refused).jobs == 2
    assert refusal(start + half + b'", ' + GOOD[1:]).total == 1


def test_half_a_surrogate_pair_at_the_very_end() -> None:
    file = GOOD[:-1] + rb',"_":"\ud83d"}'
    assert "half of a character" in str(refusal(file))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_wide_encodings_are_named(encoding: str) -> None:
    assert encoding[:6].upper() in str(refusal(GOOD.decode().encode(encoding)))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{\n "a": tru }', "line 2, column 10"),
        ("{\n\n'a': 1}", "line 3, column 1"),
        ('{"a": 1} x', "line 1, column 10"),
        ('{"a": 1', "line 1, column 7"),
        ('{"_comment": "' + "x" * 70_000 + '",\n "b" x}', "line 2, column 6"),
        ('{"groups": [' + '{"Metadata": "a"},\n' * 5_000 + "]}", "line 5001, column 1"),
    ],
    ids=lambda text: text[:15] if text.startswith("{") else "",
)
def test_broken_json_is_located(text: str, place: str) -> None:
    assert place in wheres(refusal(text.encode()))[-1]


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 3_000_000,
        b'{"a":' * 1_000_000,
        b'{"groups":[' + b"[" * 3_000_000,
        b'{"groups":[' + b'{"Metadata":' * 300_000,
        b'{"groups":[[{"Metadata":' + b'{"Metadata":' * 300_000,
        b'{"config":' + b'{"a":' * 800_000,
        b'{"config":{"a":[' + b"[]," * 1_000_000,
        b'{"groups":[{' + b'"a":1,' * 700_000,
        b'{"groups":[{"Metadata":"' + b"a=b," * 2_000_000,
        b'{"groups":[{"Metadata":"' + b"x" * 10_000_000,
        b'{"' + b"x" * 10_000_000,
        b'{"_comment":' + b" " * 10_000_000,
        b'{"a":' + b"9" * 10_000_000,
        b'{"_comment":"' + b"x" * 4_000_000 + b"\xff",
    ],
    ids=lambda bomb: bomb[:24].decode(),
)
def test_bombs_stay_small(bomb: bytes) -> None:
    before = peak_memory()
    error = refusal(bomb)
    assert peak_memory() - before < 40e6
    assert len(str(error)) < 50_000


def peak_memory() -> int:
    """The most that this process ever held, in bytes: a big bomb raises it, if any does."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_nesting_that_nobody_needs_is_refused() -> None:
    def nested(depth: int) -> bytes:
        comment = b'{"_comment": ' + b"[" * depth + b"]" * depth
        return comment + b", " + GOOD[1:]

    assert checked(nested(90)).jobs == 2
    assert wheres(refusal(nested(1_000))) == ['"_comment"']
    deep = GOOD.replace(b'{"Metadata": "Metadata_Well=A02"}', b"[" * 1_000)
    assert wheres(refusal(deep)) == ["groups[1]"]


def test_more_groups_than_the_bound_are_refused() -> None:
    head, tail = b'{"groups":[0', b"]}"
    endless = Endless(head, b",0" * 32_768)
    error = None
    try:
        jobfile.read_header(lambda: endless, "endless")  # type: ignore[arg-type, return-value]
    except JobFileError as refused:
        error = refused
    assert f"{MAX_GROUPS:,}" in str(error)
    assert tail not in endless.head


class Endless(Slow):
    """A stream without an end."""

    def __init__(self, head: bytes, more: bytes):
        self.head, self.more = head, more

    def read(self, size: int = -1) -> bytes:
        head, self.head = self.head, b""
        return head or self.more[:size]


def test_problems_show_values_on_one_short_line() -> None:
    error = refusal(written(texts("Metadata_Well\n\x1b[31m" + "x" * 5000)))
    (line,) = str(error).splitlines()[1:]
    assert len(line) < 400
    assert "\x1b" not in line


def test_a_number_too_large_for_a_config_is_refused() -> None:
    assert wheres(refusal(GOOD.replace(b'"Fly"', b"1e999"))) == ["config"]


def test_keys_may_be_anything() -> None:
    content = {**json.loads(GOOD), "é" * 500: 1, "\n": 2, "": 3}
    assert len(checked(json.dumps(content).encode()).warnings) == 3
