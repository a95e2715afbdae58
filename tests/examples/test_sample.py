"""Job file, LoadData CSV, pipeline and config of the sample agree with one another."""

import csv
import io
import json
import re

import boto3
import pytest

from chalicelib.contract import BUCKET_MOUNT, JobMessage
from chalicelib.contract.groups import format_group, job_id, output_folder, parse_group
from chalicelib.core.config import parse_config, parse_keys
from chalicelib.core.keys import JobFileKey
from examples.following import jobs_by_group, list_keys, read_text
from examples.sample import upload
from examples.sample.plate import CHANNELS, PLATE, SITES, wells
from examples.sample.upload import HERE

PIPELINE = (HERE / "sample.cppipe").read_text(encoding="utf-8")
HEADER, *MODULES = PIPELINE.strip().split("\n\n")


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(upload.load_data_csv())))


def settings(module: str) -> list[tuple[str, str]]:
    """The settings of a module, in order; texts repeat."""
    (block,) = (block for block in MODULES if block.startswith(f"{module}:["))
    return [
        (text, value)
        for text, _, value in (line[4:].partition(":") for line in block.splitlines()[1:])
    ]


def test_the_pipeline_is_whole() -> None:
    assert HEADER.startswith("CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\n")
    assert f"ModuleCount:{len(MODULES)}\n" in HEADER
    for number, block in enumerate(MODULES, start=1):
        first, *lines = block.splitlines()
        assert re.match(rf"[A-Za-z]+:\[module_num:{number}\|.*\|enabled:True\|.*\]$", first)
        assert all(line.startswith("    ") and ":" in line for line in lines)


def test_the_pipeline_groups_as_the_job_file_does() -> None:
    load_data = dict(settings("LoadData"))
    assert load_data["Group images by metadata?"] == "Yes"
    tags = load_data["Select metadata tags for grouping"].split(",")
    for item in upload.job_file()["groups"]:
        assert [key for key, _ in parse_group(item["Metadata"])] == [
            f"Metadata_{tag}" for tag in tags
        ]


def test_the_pipeline_uses_the_channels_of_the_csv() -> None:
    (row, *_) = rows()
    loaded = {name.removeprefix("FileName_") for name in row if name.startswith("FileName_")}
    assert loaded == set(CHANNELS)
    measured = dict(settings("MeasureObjectIntensity"))["Select images to measure"]
    assert set(measured.split(", ")) == loaded


def test_the_groups_are_the_wells_of_the_csv() -> None:
    in_csv = {
        (("Metadata_Plate", r["Metadata_Plate"]), ("Metadata_Well", r["Metadata_Well"]))
        for r in rows()
    }
    in_job_file = [parse_group(item["Metadata"]) for item in upload.job_file()["groups"]]
    assert set(in_job_file) == in_csv
    assert [dict(group)["Metadata_Well"] for group in in_job_file] == wells()


@pytest.fixture(scope="module")
def plate() -> dict[str, bytes]:
    """All inputs by key."""
    return dict(upload.sample_objects())


def test_every_image_of_the_csv_is_uploaded_where_it_says(plate: dict[str, bytes]) -> None:
    objects = dict(plate)
    assert len(objects) == upload.OBJECT_COUNT
    for row in rows():
        for channel in CHANNELS:
            path = f"{row[f'PathName_{channel}']}/{row[f'FileName_{channel}']}"
            assert path.startswith(f"{BUCKET_MOUNT}/")
            content = objects.pop(path.removeprefix(f"{BUCKET_MOUNT}/"))
            assert content[:4] in (b"II*\0", b"MM\0*")
    job = upload.job_file()
    assert objects.keys() == {job["pipeline"], job["data_file"]}
    assert objects[job["data_file"]].decode() == upload.load_data_csv()
    assert objects[job["pipeline"]].decode() == PIPELINE


def test_job_ids_are_those_of_the_messages() -> None:
    job = upload.job_file()
    folders = set()
    for text, identity in jobs_by_group(job).items():
        group = parse_group(text)
        folder = output_folder(job["output"], job["output_structure"], group)
        message = JobMessage(
            pipeline=job["pipeline"],
            data_file=job["data_file"],
            input=job["input"],
            output=job["output"],
            output_structure=job["output_structure"],
            group=group,
            folder=folder,
            job=job_id(job["pipeline"], job["data_file"], group, folder),
        )
        assert JobMessage.decode(message.encode()) == message
        assert message.job == identity
        assert format_group(message.group) == text
        folders.add(folder)
    assert folders == {f"{upload.OUTPUT}/{PLATE}/{well}" for well in wells()}


def test_config_keys_name_the_bucket_and_nothing_but_keys() -> None:
    keys = upload.config_keys("plates")
    buckets = {key: value for key, value in keys.items() if key.endswith("_BUCKET")}
    assert set(buckets.values()) == {"plates"}
    assert "AWS_BUCKET" in buckets
    assert all(key.isupper() for key in keys)
    assert upload.job_file(keys)["config"] == keys
    assert "config" not in upload.job_file()


def test_the_config_is_valid_without_a_warning() -> None:
    parsed = parse_keys(upload.config_keys("plates"), "config.py")
    assert parsed.warnings == ()
    assert parsed.config.sqs_queue_name == "SamplePlateQueue"
    assert parsed.config.destination_bucket == "plates"


def test_an_unedited_config_is_warned_about() -> None:
    text = (HERE / "config.py").read_text(encoding="utf-8")
    warnings = parse_config(text, "config.py").warnings
    assert any("AWS_BUCKET" in warning for warning in warnings)


def test_the_expected_files_are_those_that_the_pipeline_writes() -> None:
    tables = [value for text, value in settings("ExportToSpreadsheet") if text == "File name"]
    sites = max(site.site for site in SITES)
    assert upload.config_keys("plates")["EXPECTED_NUMBER_FILES"] == len(tables) + sites


def test_the_job_file_goes_where_uploads_start_runs() -> None:
    parsed = JobFileKey.parse(upload.job_file_key())
    assert parsed == JobFileKey(app="SamplePlate", name="sample")


def test_upload_puts_everything_and_starts_the_run(
    session: boto3.Session,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    plate: dict[str, bytes],
) -> None:
    monkeypatch.setattr(upload, "sample_objects", lambda: iter(plate.items()))
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3 = session.client("s3", endpoint_url=endpoint)
    for bucket in ("plates", "deployment"):
        s3.create_bucket(Bucket=bucket)

    assert upload.main(["plates", "--start", "deployment"]) == 0

    assert set(list_keys(s3, "plates", "sample/")) == plate.keys()
    job = json.loads(read_text(s3, "deployment", upload.job_file_key()))
    assert job == upload.job_file(upload.config_keys("plates"))
