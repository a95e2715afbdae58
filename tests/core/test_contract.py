"""What control plane and worker agree on, held from the control plane's side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import contract
from chalicelib.contract import JobMessage, LedgerEntry
from chalicelib.contract.groups import (
    Group,
    MessageError,
    format_group,
    job_id,
    output_folder,
    output_leaf,
    parse_group,
    structure_keys,
    submission_id,
)

WELL: Group = (("Metadata_Plate", "P1"), ("Metadata_Well", "A01"))

KEYS = st.from_regex(r"Metadata_[A-Za-z]{1,8}(_[A-Za-z]{1,4})?", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=",="), max_size=10)
GROUPS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4).map(lambda d: tuple(d.items()))
TEXT = st.text(max_size=10)
NAMES = st.text(min_size=1, max_size=10)
MESSAGES = st.builds(
    JobMessage,
    pipeline=NAMES,
    data_file=NAMES,
    input=TEXT,
    output=NAMES,
    output_structure=TEXT,
    group=GROUPS,
    folder=NAMES,
    job=st.from_regex(r"[0-9a-f]{20}", fullmatch=True),
    run=TEXT,
    submission=TEXT,
    failures=st.integers(0, 1000),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def body(**changes: Any) -> str:
    """A message as DCP sends it; a key given as None is left out."""
    content: dict[str, Any] = {
        "Metadata": "Metadata_Plate=P1,Metadata_Well=A01",
        "pipeline": "proj/analysis.cppipe",
        "output": "proj/output",
        "input": "proj/images",
        "data_file": "proj/load_data.csv",
        "output_structure": "",
    }
    return json.dumps({k: v for k, v in (content | changes).items() if v is not None})


# --- groups --------------------------------------------------------------------------------------


def test_a_group_is_taken_apart() -> None:
    assert parse_group("Metadata_Plate=P1,Metadata_Well=A01") == WELL
    assert parse_group("Metadata_Plate= P 1 ,Metadata_Well=") == (
        ("Metadata_Plate", " P 1 "),
        ("Metadata_Well", ""),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'' is not KEY=VALUE"),
        ("Metadata_Plate", "'Metadata_Plate' is not KEY=VALUE"),
        ("Metadata_Plate=P1,B2", "can't hold a comma"),
        ("Metadata_Plate=P=1", "holds '='"),
        ("=P1", "is not KEY=VALUE"),
        ("Metadata_Plate=P1,", "is not KEY=VALUE"),
    ],
)
def test_what_cellprofiler_could_not_take_apart_is_refused(text: str, told: str) -> None:
    with pytest.raises(MessageError, match=told):
        parse_group(text)


@given(GROUPS)
def test_groups_survive_their_text(group: Group) -> None:
    assert parse_group(format_group(group)) == group


# --- output folders ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "leaf"),
    [
        ("", "P1-A01-3-R07"),
        ("Metadata_Plate/Metadata_Well", "P1/A01"),
        (
            "Metadata_Plate/analysis/Metadata_Plate-Metadata_Well-Metadata_Site",
            "P1/analysis/P1-A01-3",
        ),
        # A key within a longer one stays what it is.
        ("Metadata_WellRow", "R07"),
        ("Metadata_WellRow/Metadata_Well", "R07/A01"),
        ("Metadata_WellColumn", "Metadata_WellColumn"),
        ("Metadata_Well_Row", "Metadata_Well_Row"),
        ("myMetadata_Well", "myMetadata_Well"),
        ("Metadata_Well2", "Metadata_Well2"),
        # Two keys may follow each other.
        ("Metadata_Plate_Metadata_Well", "P1_A01"),
        ("Metadata_Plate_Metadata_WellRow_Metadata_Site", "P1_R07_3"),
        ("x_Metadata_Well", "x_A01"),
        ("Metadata_Plate.Metadata_Site", "P1.3"),
        ("fixed", "fixed"),
    ],
)
def test_a_structure_is_filled_in_by_whole_tokens(structure: str, leaf: str) -> None:
    group = (*WELL, ("Metadata_Site", "3"), ("Metadata_WellRow", "R07"))
    assert output_leaf(structure, group) == leaf


def test_the_values_themselves_are_never_filled_in() -> None:
    group = (("Metadata_Plate", "Metadata_Well"), ("Metadata_Well", "A01"))
    assert output_leaf("Metadata_Plate/Metadata_Well", group) == "Metadata_Well/A01"
    odd = (("Metadata_Plate", r"\1\g<0>"),)
    assert output_leaf("Metadata_Plate", odd) == r"\1\g<0>"


def test_the_longest_key_is_meant_whatever_the_order_of_the_groups_keys() -> None:
    group = (
        ("Metadata_Well", "A01"),
        ("Metadata_WellRow", "R07"),
        ("Metadata_Plate", "P1"),
        ("Metadata_Plate_Metadata_Batch", "B2"),
    )
    structure = "Metadata_WellRow-Metadata_Well/Metadata_Plate_Metadata_Batch"
    for pairs in (group, group[::-1]):
        assert output_leaf(structure, pairs) == "R07-A01/B2"


def test_which_keys_a_structure_names() -> None:
    keys = ["Metadata_Well", "Metadata_WellRow", "Metadata_Site"]
    structure = "Metadata_WellRow/Metadata_Well_Metadata_Site/Metadata_Site"
    assert structure_keys(structure, keys) == [
        "Metadata_WellRow", "Metadata_Well", "Metadata_Site", "Metadata_Site",
    ]  # fmt: skip
    assert structure_keys(structure, []) == []


@pytest.mark.parametrize(
    ("output", "folder"),
    [("proj/output", "proj/output/P1-A01"), ("proj/output/", "proj/output/P1-A01"), ("", "P1-A01")],
)
def test_folders_lie_below_the_output(output: str, folder: str) -> None:
    assert output_folder(output, "", WELL) == folder


@given(GROUPS, GROUPS)
def test_jobs_of_different_groups_have_different_ids(one: Group, other: Group) -> None:
    ids = {job_id("p.cppipe", "d.csv", group, "out") for group in (one, other)}
    assert len(ids) == len({one, other})


def test_ids_tell_neighbouring_fields_apart() -> None:
    assert job_id("ab", "c", WELL, "f") != job_id("a", "bc", WELL, "f")
    assert submission_id("ab", "c", "v") != submission_id("a", "bc", "v")
    assert submission_id("b", "jobs/a.json", "v1") != submission_id("b", "jobs/a.json", "v2")


# --- messages ------------------------------------------------------------------------------------


@given(MESSAGES)
def test_messages_survive_the_queue_and_hold_all_that_dcps_workers_read(
    message: JobMessage,
) -> None:
    assert JobMessage.decode(message.encode()) == message
    content = json.loads(message.encode())
    assert content["Metadata"] == format_group(message.group)
    for name in ("pipeline", "data_file", "input", "output", "output_structure"):
        assert content[name] == getattr(message, name)


def test_dcps_text_body() -> None:
    assert JobMessage.decode(body()) == JobMessage(
        pipeline="proj/analysis.cppipe",
        data_file="proj/load_data.csv",
        input="proj/images",
        output="proj/output",
        output_structure="",
        group=WELL,
        folder="proj/output/P1-A01",
        job=job_id("proj/analysis.cppipe", "proj/load_data.csv", WELL, "proj/output/P1-A01"),
    )


def test_dcps_body_with_an_object() -> None:
    found = JobMessage.decode(
        body(
            Metadata={"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 3},
            output_structure="Metadata_Plate/Metadata_Well-Metadata_Site",
        )
    )
    assert found.group == (*WELL, ("Metadata_Site", "3"))
    assert found.folder == "proj/output/P1/A01-3"
    assert (found.run, found.submission, found.failures) == ("", "", 0)
    assert JobMessage.decode(found.encode()) == found


def test_a_failure_is_counted_in_the_copy() -> None:
    message = JobMessage.decode(body())
    assert message.after_failure().failures == 1
    assert JobMessage.decode(message.after_failure().encode()).after_failure().failures == 2
    assert message.failures == 0


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected an object, found list"),
        (body(pipeline=None), "pipeline: expected text, found ''"),
        (body(pipeline=7), "pipeline: expected text, found 7"),
        (body(data_file=""), "data_file: expected text"),
        (body(output=None), "output: expected text"),
        (body(input=["a"]), "input: expected text"),
        (body(Metadata=None), "Metadata: expected KEY=VALUE text or an object, found None"),
        (body(Metadata={}), "Metadata: expected"),
        (body(Metadata=["P1"]), "Metadata: expected"),
        (body(Metadata="P1"), "is not KEY=VALUE"),
        (body(Metadata={"Metadata_Plate": "a,b"}), "can't hold a comma"),
        (body(Metadata={"Metadata_Plate": "a=b"}), "holds '='"),
        (body(cellfleet="x"), "cellfleet: expected an object"),
        (body(cellfleet={"v": "x"}), "cellfleet: "),
        (body(cellfleet={"v": [1]}), "cellfleet: "),
        (body(cellfleet={"failures": "many"}), "cellfleet: "),
        (body(cellfleet={"v": 2}), r"newer CellFleet \(version 2\)"),
    ],
)
def test_what_is_no_message(sent: str, told: str) -> None:
    with pytest.raises(MessageError, match=told):
        JobMessage.decode(sent)


@given(st.dictionaries(st.sampled_from([*json.loads(body()), "cellfleet"]), JSON))
def test_any_body_is_understood_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = JobMessage.decode(json.dumps(json.loads(body()) | changes))
    except MessageError:
        return
    # What was understood can be sent back.
    assert JobMessage.decode(found.encode()) == found


@given(
    st.dictionaries(st.sampled_from(["v", "run", "submission", "job", "folder", "failures"]), JSON)
)
def test_any_key_of_ours_is_understood_or_refused(ours: dict[str, Any]) -> None:
    try:
        found = JobMessage.decode(body(cellfleet=ours))
    except MessageError:
        return
    assert JobMessage.decode(found.encode()) == found


# --- the ledger ----------------------------------------------------------------------------------

ENTRIES = st.builds(
    LedgerEntry,
    run=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}-\d{8}T\d{6}[0-9a-f]{4}", fullmatch=True),
    minute=st.datetimes().map(lambda time: f"{time:%Y%m%dT%H%M}".rjust(13, "0")),
    submission=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    job=st.from_regex(r"[0-9a-f]{20}", fullmatch=True),
    attempt=st.integers(0, 10_000),
    outcome=st.sampled_from(contract.OUTCOMES),
    cause=st.sampled_from(["", *sorted(contract.CAUSES)]),
    seconds=st.integers(0, 10**6),
)


@given(ENTRIES)
def test_entries_survive_their_keys(entry: LedgerEntry) -> None:
    assert LedgerEntry.parse(entry.key()) == entry
    assert entry.key().startswith(contract.ledger_prefix(entry.run))


@given(ENTRIES, st.sampled_from(["x", "/", "\n", ".json"]))
def test_what_is_no_entry(entry: LedgerEntry, more: str) -> None:
    assert LedgerEntry.parse(entry.key() + more) is None
    assert LedgerEntry.parse(more + entry.key()) is None
    assert LedgerEntry.parse(contract.commit_key(entry.run, entry.submission, entry.job)) is None


def test_an_entrys_key() -> None:
    entry = LedgerEntry(
        "App-1", "20240301T0930", "5b", "0a", 2, contract.FAILED, contract.MEMORY, 61
    )
    assert entry.key() == "runs/App-1/ledger/20240301T0930/5b.0a.2.failed.memory.61"
    done = LedgerEntry("App-1", "20240301T0930", "5b", "0a", 1, contract.DONE)
    assert done.key() == "runs/App-1/ledger/20240301T0930/5b.0a.1.done.-.0"


def test_what_a_commit_says() -> None:
    files = [{"name": "Image.csv", "size": 3, "sha256": "00"}]
    assert json.loads(contract.commit_body("publishing", "a1", files, {"b", "a"})) == {
        "v": 1,
        "state": "publishing",
        "attempt": "a1",
        "files": files,
        "leftovers": ["a", "b"],
    }
