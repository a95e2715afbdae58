"""What the causes of failed jobs mean, and what helps: for those who read a notice or a page."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib import contract

_UNKNOWN = "unknown", "look at the job's log for its last lines"

#: Cause to what it means, and what to do about it.
MEANINGS: Mapping[str, tuple[str, str]] = {
    contract.INPUT: (
        "an image, or a row of the data file, was missing or can't be read",
        "mend the files that are named, or leave those groups out of the job file",
    ),
    contract.PIPELINE: (
        "CellProfiler refused the pipeline, or stopped with an error in it",
        "run the pipeline on one of these groups in CellProfiler on your own machine",
    ),
    contract.PLUGIN: (
        "the pipeline needs a module that the worker doesn't have",
        "remove the module, or use a worker image that has it",
    ),
    contract.MESSAGE: (
        "the job's message can't be understood",
        "upload the job file again; messages from elsewhere don't belong in this queue",
    ),
    contract.MEMORY: (
        "CellProfiler needed more memory than there was",
        "raise MEMORY, lower DOCKER_CORES, or choose a MACHINE_TYPE with more memory",
    ),
    contract.CRASH: (
        "CellProfiler crashed",
        "look at the job's log for its last lines",
    ),
    contract.HANG: (
        "CellProfiler made no progress for too long and was ended",
        "look for a group that is far larger than the others",
    ),
    contract.DISK: (
        "the disk was full",
        "raise EBS_VOL_SIZE",
    ),
    contract.PERMISSION: (
        "AWS refused the worker access to a file or bucket",
        "let the workers' role read SOURCE_BUCKET and WORKSPACE_BUCKET and write "
        "DESTINATION_BUCKET",
    ),
    contract.UPLOAD: (
        "results couldn't be written to DESTINATION_BUCKET",
        "check the bucket, and UPLOAD_FLAGS; then send the job file again",
    ),
    contract.DOWNLOAD: (
        "a file couldn't be fetched",
        "send the job file again; if it fails again, check the buckets' names and region",
    ),
    contract.INTERRUPTED: (
        "machines were taken away in the middle of the job, again and again",
        "send the job file again, or choose more machine types in MACHINE_TYPE",
    ),
    contract.LOST: (
        "workers were killed on the job before they could say why, or its message was removed",
        "it is often memory: raise MEMORY, or lower DOCKER_CORES; then send the job file again",
    ),
}


def meaning(cause: str) -> tuple[str, str]:
    """What a cause means, and what to do about it."""
    return MEANINGS.get(cause, _UNKNOWN)


def explain_causes(counts: Mapping[str, int]) -> list[str]:
    """A line for each cause, the most frequent first: how many, what it means, what to do."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        f"{count} x {cause or 'unknown'}: {means}. What helps: {helps}."
        for cause, count in ranked
        for means, helps in [meaning(cause)]
    ]
