"""Trigger: a job file was put into the deployment bucket under `jobs/`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from aws_lambda_powertools import Logger

from chalicelib.aws.services import Services
from chalicelib.core.keys import JobFileKey, refusal
from chalicelib.core.refusal import refusal as refusal_text
from chalicelib.errors import JobFileError, Problem
from chalicelib.operations.submit import Outcome, Upload, submit

log = Logger(service="cellfleet", child=True)


def on_job_file(services: Services, event: Mapping[str, Any]) -> list[Outcome]:
    """Submit every job file of an S3 event, which may hold several records.

    One record's trouble doesn't keep the others waiting; the first error is raised at the end,
    so that Lambda delivers the event again. What was begun is resumed by a tick in any case.
    """
    outcomes: list[Outcome] = []
    errors: list[Exception] = []
    for upload in uploads(services, event):
        try:
            outcomes.append(submit(services, upload))
        except Exception as error:
            log.exception("submission stopped", extra={"key": upload.key})
            errors.append(error)
    if errors:
        raise errors[0]
    return outcomes


def uploads(services: Services, event: Mapping[str, Any]) -> Iterator[Upload]:
    """The job files that an event is about. S3 encodes keys as in a form ("+" for a space)."""
    for record in event.get("Records", []):
        stored = record["s3"]
        bucket, key = stored["bucket"]["name"], unquote_plus(stored["object"]["key"])
        place = JobFileKey.parse(key)
        if place is None:
            _refuse_key(services, key)
            continue
        about = stored["object"]
        version = about.get("versionId") or ""
        yield Upload(
            app=place.app,
            name=place.name,
            bucket=bucket,
            key=key,
            # "null": the bucket once kept versions, and doesn't any more.
            version="" if version == "null" else version,
            sequencer=about.get("sequencer") or about.get("eTag", ""),
            etag=about.get("eTag", ""),
        )


def _refuse_key(services: Services, key: str) -> None:
    error = JobFileError(
        key,
        [
            Problem(
                where="key",
                found=repr(key),
                expected="jobs/APP_NAME/NAME.json, with letters, digits, '-' and '_' in APP_NAME",
            )
        ],
    )
    name = key.removeprefix("jobs/").removesuffix(".json")
    log.warning("job file refused", extra={"key": key, "reason": str(error)})
    services.store.put(refusal("_", name), refusal_text(error, key=key, now=services.now()))
