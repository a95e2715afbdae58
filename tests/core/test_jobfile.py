"""What holds for every job file, not for examples only."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.contract import JobMessage
from chalicelib.contract.groups import Group, format_group, job_id, output_folder
from chalicelib.core import jobfile
from chalicelib.errors import JobFileError, LeaseLostError
from tests.core.jobfiles import (
    HEADER,
    RUN,
    SUBMISSION,
    Slow,
    checked,
    jobs_of,
    opener,
    refusal,
    texts,
    wheres,
    written,
)

KEYS = ("Metadata_Plate", "Metadata_Well", "Metadata_WellRow", "Metadata_Site")
STRUCTURES = (
    "Metadata_Plate/analysis/Metadata_Plate-Metadata_Well-Metadata_WellRow-Metadata_Site",
    "Metadata_Plate_Metadata_Well/{0}%s/Metadata_WellRow/Metadata_Site/",
)
values = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters=",=/\\."), min_size=1
).filter(str.strip)


@st.composite
def group_sets(draw: st.DrawFn) -> list[Group]:
    keys = draw(st.permutations(KEYS))
    rows = draw(st.lists(st.tuples(*[values] * len(keys)), min_size=1, max_size=12))
    return [tuple(zip(keys, row, strict=True)) for row in rows]


def form(group: Group, which: int) -> Any:
    return [
        {"Metadata": format_group(group)},
        {"Metadata": dict(group)},
        dict(group),
        [dict(group), [1, 2, 3]],
    ][which]


@given(group_sets(), st.sampled_from(STRUCTURES), st.data())
def test_any_groups_come_out_as_the_contract_says(
    groups: list[Group], structure: str, data: st.DataObject
) -> None:
    forms = [form(group, data.draw(st.integers(0, 3))) for group in groups]
    first_places: dict[frozenset[tuple[str, str]], int] = {}
    for place, group in enumerate(groups):
        first_places.setdefault(frozenset(group), place)
    file = written(forms, output_structure=structure)

    found = checked(file)
    jobs = jobs_of(file)

    assert found.jobs == len(jobs) == len(first_places)
    assert found.duplicates == len(groups) - len(jobs)
    assert [job.index for job in jobs] == list(first_places.values())
    for job in jobs:
        group = groups[job.index]
        assert job.group == group
        assert job.folder == output_folder("proj/output", structure, group)
        message = JobMessage(
            pipeline=HEADER["pipeline"],
            data_file=HEADER["data_file"],
            input=HEADER["input"],
            output=HEADER["output"],
            output_structure=structure,
            group=group,
            folder=job.folder,
            job=job_id(HEADER["pipeline"], HEADER["data_file"], group, job.folder),
            run=RUN,
            submission=SUBMISSION,
        )
        assert JobMessage.decode(job.body) == message
        assert job.body == message.encode()


@given(group_sets(), st.integers(0, 15))
def test_resuming_gives_exactly_the_tail(groups: list[Group], start: int) -> None:
    file = written([form(group, 0) for group in groups], output_structure=STRUCTURES[0])
    assert jobs_of(file, start) == [job for job in jobs_of(file) if job.index >= start]


@given(st.permutations([*HEADER, "groups", "output_structure", "config", "fleet"]))
def test_the_keys_may_stand_in_any_order(order: list[str]) -> None:
    content = {
        **HEADER,
        "output_structure": "Metadata_Well",
        "config": {"APP_NAME": "Fly", "MACHINE_TYPE": ["m5.xlarge", {"a": [1, 2.5, None]}]},
        "fleet": {},
        "groups": texts("Metadata_Well=A01", "Metadata_Well=A02"),
    }
    file = json.dumps({key: content[key] for key in order}).encode()
    header = checked(file).header
    assert header.config == content["config"]
    assert header.fleet == {}
    assert [job.folder for job in jobs_of(file)] == ["proj/output/A01", "proj/output/A02"]


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_a_stream_may_come_in_small_pieces(piece: int) -> None:
    file = written(texts(*(f"Metadata_Well=ä😀{n}" for n in range(300))))
    found = jobfile.check(lambda: Slow(file, piece), "x", check_if_done=False)  # type: ignore[arg-type, return-value]
    assert found.jobs == 300


def test_the_stream_is_closed() -> None:
    file = written(texts("Metadata_Well=A01", "Metadata_Well=A02"))
    opened = []

    def open_stream() -> Any:
        opened.append(opener(file)())
        return opened[-1]

    header = jobfile.check(open_stream, "x", check_if_done=False).header
    jobs = jobfile.iter_jobs(open_stream, header, run=RUN, submission=SUBMISSION)
    next(jobs)
    jobs.close()  # type: ignore[attr-defined]
    assert len(opened) == 3
    assert all(stream.closed for stream in opened)


def test_progress_is_told_and_may_stop_the_check() -> None:
    file = written(texts(*(f"Metadata_Well={n}" for n in range(2500))))
    told: list[int] = []
    jobfile.check(opener(file), "x", check_if_done=False, on_progress=told.append)
    assert told == [1000, 2000, 1000, 2000]

    def lose(_count: int) -> None:
        raise LeaseLostError("taken over")

    with pytest.raises(LeaseLostError):
        jobfile.check(opener(file), "x", check_if_done=False, on_progress=lose)


def test_the_first_hundred_problems_are_kept_and_all_are_counted() -> None:
    error = refusal(written(texts(*["Metadata_Well"] * 5000), pipeline=None))
    assert error.total == 5001
    assert len(error.problems) == 100
    assert wheres(error)[:3] == ["pipeline", "groups[0]", "groups[1]"]


def test_a_header_that_is_wrong_does_not_hide_wrong_groups() -> None:
    file = written(texts("Metadata_Well"), output="/abs")
    assert wheres(refusal(file)) == ["output", "groups[0]"]
    with pytest.raises(JobFileError) as refused:
        jobfile.read_header(opener(file), "x")
    assert wheres(refused.value) == ["output", "groups[0]"]


def test_groups_that_differ_in_the_order_of_keys_are_one_group() -> None:
    file = written(
        texts("Metadata_Plate=1,Metadata_Well=2", "Metadata_Well=2,Metadata_Plate=1"),
    )
    assert checked(file).duplicates == 1
    assert len(jobs_of(file)) == 1


SHARED = texts("Metadata_Plate=1,Metadata_Site=1", "Metadata_Plate=1,Metadata_Site=2")


def test_a_shared_folder_is_a_warning_with_a_structure() -> None:
    (warning,) = checked(written(SHARED, output_structure="Metadata_Plate")).warnings
    assert "leaves out Metadata_Site" in warning
    assert "groups[1]" in warning


def test_a_shared_folder_is_an_error_when_done_groups_are_skipped() -> None:
    error = refusal(written(SHARED, output_structure="Metadata_Plate"), check_if_done=True)
    assert wheres(error) == ["groups[1]"]
    assert "Metadata_Site" in str(error)


def test_a_duplicate_is_no_shared_folder() -> None:
    file = written([*SHARED[:1], *SHARED[:1]], output_structure="Metadata_Plate")
    assert checked(file, check_if_done=True).duplicates == 1


@pytest.mark.parametrize(
    ("keys", "where", "says"),
    [
        ({"pipeline": None}, "pipeline", "missing"),
        ({"input": None}, "input", "missing"),
        ({"input": None, "inputs": "x"}, "input", '"inputs"'),
        ({"groups": None}, "groups", "missing"),
        ({"groups": None, "Group": []}, "groups", '"Group"'),
        ({"groups": {}}, "groups", "expected a list"),
        ({"groups": []}, "groups", "empty"),
        ({"output": ""}, "output", "expected the path"),
        ({"output": "./"}, "output", "expected the path"),
        ({"pipeline": ""}, "pipeline", "expected the path"),
        ({"pipeline": 3}, "pipeline", "3"),
        ({"output_structure": ["a"]}, "output_structure", "a list"),
        ({"config": "config.json"}, "config", "an object"),
        (
            {"config": {"a": "x" * 10, "b": [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}},
            "config",
            "20",
        ),
        ({"fleet": {str(n): n for n in range(6000)}}, "fleet", "5,000"),
        ({"pipeline": "s3://bucket/a/b.cppipe"}, "pipeline", 'write "a/b.cppipe"'),
        ({"pipeline": "/home/ubuntu/bucket/a.cppipe"}, "pipeline", 'write "a.cppipe"'),
        ({"output": "C:\\out"}, "output", "backslash"),
        ({"output": "a/../../b"}, "output", "'..'"),
        ({"output": "a\x07b"}, "output", "U+0007"),
        ({"output": "x" * 1100}, "output", "1,024"),
        ({"output_structure": "/Metadata_Well"}, "output_structure", "relative"),
        ({"data_file": "list.tsv"}, "data_file", ".csv, .txt or .h5"),
        ({"data_file": "a/csv"}, "data_file", ".csv, .txt or .h5"),
        ({"data_file": "a.h5"}, "pipeline", 'write "a.h5" for both'),
        ({"pipeline": "a.h5"}, "data_file", 'write "a.h5" for both'),
    ],
)
def test_a_wrong_header_names_key_and_cure(keys: Mapping[str, Any], where: str, says: str) -> None:
    groups = keys.get("groups", texts("Metadata_Well=A01"))
    error = refusal(written(**{"groups": groups, **keys}))
    assert wheres(error) == [where]
    assert says in str(error)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "l.Txt", "x/y.TXT", "batch.h5", "Batch.H5"])
def test_the_kind_is_told_by_the_extension_in_any_case(name: str) -> None:
    pipeline = name if name.lower().endswith("h5") else "p.cppipe"
    file = written(texts("Metadata_Well=A01"), data_file=name, pipeline=pipeline)
    assert checked(file).header.kind == name.lower().rpartition(".")[2]


def test_unknown_keys_are_ignored_with_a_warning() -> None:
    many = {f"key{n}": n for n in range(30)}
    file = written(texts("Metadata_Well=A01"), output_strcture="Metadata_Well", **many)
    warnings = checked(file).warnings
    assert '"output_strcture" is not known' in warnings[0]
    assert '"output_structure"' in warnings[0]
    assert "11 more" in warnings[-1]


@pytest.mark.parametrize("key", ["pipeline", "groups", "config"])
def test_a_key_that_stands_twice_is_refused(key: str) -> None:
    body = written(texts("Metadata_Well=A01"), config={})
    file = b'{"%s": %s, %s' % (key.encode(), json.dumps(json.loads(body)[key]).encode(), body[1:])
    assert wheres(refusal(file)) == [key]


def test_a_message_over_the_limit_of_sqs_is_refused() -> None:
    fits, over = "x" * 261_000, "x" * 262_000
    structure = {"output_structure": "Metadata_Well"}
    groups = [f"Metadata_Well={n},Metadata_Note={note}" for n, note in enumerate((fits, over))]
    error = refusal(written(texts(*groups), **structure))
    assert wheres(error) == ["groups[1]"]
    assert "262,144" in str(error)
    (job,) = jobs_of(written(texts(groups[0]), **structure))
    assert len(job.body.encode()) <= 262_144


def test_an_output_folder_leaves_room_for_file_names() -> None:
    error = refusal(written(texts(f"Metadata_Well={'ü' * 450}")))
    assert wheres(error) == ["groups[0]"]
    assert "900 bytes" in str(error)


def test_bare_keys_need_a_structure_and_that_is_said_once() -> None:
    groups = [{"Metadata_Well": str(n)} for n in range(5)]
    assert wheres(refusal(written(groups))) == ["groups[0]"]
    assert wheres(refusal(written(groups, output_structure=""))) == ["groups[0]"]
    assert checked(written(groups, output_structure="Metadata_Well")).jobs == 5
