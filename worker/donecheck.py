"""CHECK_IF_DONE: are a job's results there already?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.environment import Environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def is_done(s3: S3Client, environment: Environment, folder: str) -> bool:
    """Whether the job's output folder holds as many files as expected, each big enough and
    with the necessary string in its key. Stops listing once it knows."""
    count = 0
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=environment.destination_bucket, Prefix=folder + "/"
    )
    for page in pages:
        for item in page.get("Contents", []):
            big_enough = item["Size"] >= environment.min_file_bytes
            count += big_enough and environment.necessary_string in item["Key"]
        if count >= environment.expected_files:
            return True
    return count >= environment.expected_files
