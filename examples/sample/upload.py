"""Everything that a run of the sample plate needs in a bucket, and a command that puts it there.

    python -m examples.sample.upload BUCKET [--start DEPLOYMENT_BUCKET]

The keys are DCP's usual layout below `sample/`: images, workspace (pipeline and LoadData
CSV) and, once it has run, output.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from chalicelib.contract import BUCKET_MOUNT
from chalicelib.core.config_source import read_source
from chalicelib.core.keys import JOB_FILES
from examples.sample import render
from examples.sample.plate import CHANNELS, PLATE, SITES

HERE = Path(__file__).parent
IMAGES = "sample/images"
WORKSPACE = "sample/workspace"
OUTPUT = "sample/output"
#: How many objects `sample_objects` gives.
OBJECT_COUNT = len(SITES) * len(CHANNELS) + 2


def load_data_csv(images: str = f"{BUCKET_MOUNT}/{IMAGES}") -> str:
    """The LoadData CSV: one row per site, with the folder of its images as PathName."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    paths = [f"{kind}_{channel}" for channel in CHANNELS for kind in ("FileName", "PathName")]
    writer.writerow(["Metadata_Plate", "Metadata_Well", "Metadata_Site", *paths])
    for site in SITES:
        files = [cell for channel in CHANNELS for cell in (site.file_name(channel), images)]
        writer.writerow([PLATE, site.well, site.site, *files])
    return text.getvalue()


def sample_objects() -> Iterator[tuple[str, bytes]]:
    """Key and content of all inputs; images are rendered as they are asked for."""
    yield f"{WORKSPACE}/sample.cppipe", (HERE / "sample.cppipe").read_bytes()
    yield f"{WORKSPACE}/load_data.csv", load_data_csv().encode()
    for name, content in render.files():
        yield f"{IMAGES}/{name}", content


def config_keys(bucket: str) -> dict[str, Any]:
    """The keys of the sample's `config.py`, with every bucket set to `bucket`."""
    text = (HERE / "config.py").read_text(encoding="utf-8")
    keys = read_source(text, "config.py").values
    return {key: bucket if key.endswith("_BUCKET") else value for key, value in keys.items()}


def job_file(config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The sample's job file; with a configuration, one upload of it does everything."""
    job: dict[str, Any] = json.loads((HERE / "job.json").read_text(encoding="utf-8"))
    return job if config is None else {**job, "config": config}


def job_file_key() -> str:
    """Where the job file starts a run, in the deployment bucket."""
    return f"{JOB_FILES}{config_keys('')['APP_NAME']}/sample.json"


def main(arguments: list[str]) -> int:
    """Upload the sample to a bucket."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.sample.upload",
        description="Render the sample plate and put it into a bucket, below sample/.",
    )
    parser.add_argument("bucket", help="where the sample goes; it must exist")
    parser.add_argument(
        "--start",
        metavar="DEPLOYMENT_BUCKET",
        help="also put the job file, with the configuration in it, where it starts a run",
    )
    given = parser.parse_args(arguments)
    s3 = boto3.client("s3")
    for key, content in sample_objects():
        s3.put_object(Bucket=given.bucket, Key=key, Body=content)
        print(f"s3://{given.bucket}/{key}")
    if given.start:
        job = job_file(config_keys(given.bucket))
        s3.put_object(Bucket=given.start, Key=job_file_key(), Body=json.dumps(job).encode())
        print(f"s3://{given.start}/{job_file_key()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
