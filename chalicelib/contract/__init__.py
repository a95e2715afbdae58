"""What control plane and worker agree on: the job message, the task's environment, the keys in S3.

The one package that both hold (`groups` has the groups and names of jobs). It is copied into the worker's image, so: standard library
only, and Python 3.8 grammar (a test holds both).

Message body: everything Distributed-CellProfiler's (DCP's) workers read, plus one key,
`cellfleet`, that they ignore. A body without it (sent by DCP, or by hand) is understood too.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, List, Mapping, Optional

from chalicelib.contract.groups import (
    Group,
    MessageError,
    format_group,
    job_id,
    output_folder,
    parse_group,
)

MESSAGE_VERSION = 1

#: A worker holds a job this long, in seconds, and extends it at half that.
LEASE_SECONDS = 120
#: A failure that can heal goes back to the queue for this long, in seconds (as DCP).
RETRY_SECONDS = 60
#: A worker that found no job for this long, in seconds, ends itself.
IDLE_SECONDS = 15 * 60

#: Where LoadData CSVs written for DCP expect the bucket.
BUCKET_MOUNT = "/home/ubuntu/bucket"


# --- the job message -----------------------------------------------------------------------


@dataclass(frozen=True)
class JobMessage:
    """One image group to run. `folder` is the key prefix of its results.

    `run` and `submission` are "" in messages that DCP's tools sent. `failures` counts the
    failed attempts recorded by copies of this message that were sent before it.
    """

    pipeline: str
    data_file: str
    input: str
    output: str
    output_structure: str
    group: Group
    folder: str
    job: str
    run: str = ""
    submission: str = ""
    failures: int = 0

    def encode(self) -> str:
        """The SQS message body."""
        return json.dumps(
            {
                "Metadata": format_group(self.group),
                "pipeline": self.pipeline,
                "output": self.output,
                "input": self.input,
                "data_file": self.data_file,
                "output_structure": self.output_structure,
                "cellfleet": {
                    "v": MESSAGE_VERSION,
                    "run": self.run,
                    "submission": self.submission,
                    "job": self.job,
                    "folder": self.folder,
                    "failures": self.failures,
                },
            },
            separators=(",", ":"),
        )

    def after_failure(self) -> "JobMessage":
        """The copy to send when this attempt counts as a failure."""
        return replace(self, failures=self.failures + 1)

    @classmethod
    def decode(cls, body: str) -> "JobMessage":
        """Read a body, ours or DCP's. Raises MessageError."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MessageError("not JSON: %s" % error) from error
        if not isinstance(data, dict):
            raise MessageError("expected an object, found %s" % type(data).__name__)
        ours = data.get("cellfleet") or {}
        if not isinstance(ours, dict):
            raise MessageError("cellfleet: expected an object")
        version = _number(ours, "v", MESSAGE_VERSION)
        if version > MESSAGE_VERSION:
            raise MessageError("written by a newer CellFleet (version %s)" % version)
        fields = {
            name: _text(data, name, name in ("pipeline", "data_file", "output"))
            for name in ("pipeline", "data_file", "input", "output", "output_structure")
        }
        group = _group(data.get("Metadata"))
        folder = _text(ours, "folder", False) or output_folder(
            fields["output"], fields["output_structure"], group
        )
        job = _text(ours, "job", False) or job_id(
            fields["pipeline"], fields["data_file"], group, folder
        )
        return cls(
            group=group,
            folder=folder,
            job=job,
            run=_text(ours, "run", False),
            submission=_text(ours, "submission", False),
            failures=_number(ours, "failures", 0),
            **fields,
        )


def _text(data: Mapping[str, Any], name: str, required: bool) -> str:
    value = data.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise MessageError("%s: expected text, found %r" % (name, value))
    return value


def _number(data: Mapping[str, Any], name: str, default: int) -> int:
    value = data.get(name, default)
    if not isinstance(value, int):
        raise MessageError("cellfleet: %s: expected a number, found %r" % (name, value))
    return value


def _group(metadata: Any) -> Group:
    if isinstance(metadata, str):
        return parse_group(metadata)
    if isinstance(metadata, dict) and metadata:
        group = tuple((str(key).strip(), str(value)) for key, value in metadata.items())
        if parse_group(format_group(group)) != group:
            raise MessageError("Metadata: %r: a value can't hold a comma" % (metadata,))
        return group
    raise MessageError("Metadata: expected KEY=VALUE text or an object, found %r" % (metadata,))


# --- the task's environment ------------------------------------------------------------------

#: Names that DCP's workers read, in the order they stand in the task definition.
DCP_ENVIRONMENT = (
    "AWS_REGION", "APP_NAME", "SQS_QUEUE_URL", "AWS_BUCKET", "DOCKER_CORES", "LOG_GROUP_NAME",
    "CHECK_IF_DONE_BOOL", "EXPECTED_NUMBER_FILES", "ECS_CLUSTER", "SECONDS_TO_START",
    "MIN_FILE_SIZE_BYTES", "USE_PLUGINS", "NECESSARY_STRING", "DOWNLOAD_FILES", "ALWAYS_CONTINUE",
    "SOURCE_BUCKET", "DESTINATION_BUCKET", "WORKSPACE_BUCKET", "UPLOAD_FLAGS",
)  # fmt: skip
DCP_PLUGIN_ENVIRONMENT = (
    "UPDATE_PLUGINS",
    "PLUGINS_COMMIT",
    "INSTALL_REQUIREMENTS",
    "REQUIREMENTS",
)

ENV_RUN = "CELLFLEET_RUN_ID"
#: The deployment bucket, where commits and the ledger are written.
ENV_STATE_BUCKET = "CELLFLEET_BUCKET"
ENV_DEAD_LETTER_URL = "CELLFLEET_DEAD_LETTER_URL"
ENV_JOB_RETRIES = "CELLFLEET_JOB_RETRIES"
#: How long a job is expected to take, in seconds: the user's SQS_MESSAGE_VISIBILITY.
ENV_EXPECTED_SECONDS = "CELLFLEET_EXPECTED_SECONDS"
#: UPLOAD_FLAGS as JSON of S3 upload arguments, for example {"ACL": "bucket-owner-full-control"}.
ENV_UPLOAD_ARGUMENTS = "CELLFLEET_UPLOAD_ARGUMENTS"
ENV_DISK_GB = "CELLFLEET_DISK_GB"
#: The folder shared with the host: signs of life out, the spot notice in.
ENV_HOST_DIR = "CELLFLEET_HOST_DIR"
#: How CellProfiler is run: kept warm between jobs, or by its command line for each.
ENV_ENGINE = "CELLFLEET_ENGINE"
WARM, COLD = "warm", "cli"
ENGINES = (WARM, COLD)
ENV_IDLE_SECONDS = "CELLFLEET_IDLE_SECONDS"
#: Not in the task definition; the image (or the embedded AWS) sets them.
ENV_ROOT = "CELLFLEET_ROOT"
ENV_CELLPROFILER = "CELLFLEET_CELLPROFILER"

#: Signs of life (content: none; the modification time counts) and the spot notice, in ENV_HOST_DIR.
HOST_ALIVE = "alive"
HOST_SPOT_NOTICE = "spot-notice"


# --- keys in the deployment bucket -----------------------------------------------------------

DONE = "done"
SKIPPED = "skipped"  # CHECK_IF_DONE found the results already there; counts as done
FAILED = "failed"  # will be tried again
DEAD = "dead"  # in the dead-letter queue
OUTCOMES = (DONE, SKIPPED, FAILED, DEAD)

#: Why a job failed. The first four are permanent: trying again can't help.
INPUT, PIPELINE, PLUGIN, MESSAGE = "input", "pipeline", "plugin", "message"
MEMORY, CRASH, HANG, DISK = "memory", "crash", "hang", "disk"
PERMISSION, UPLOAD, DOWNLOAD, INTERRUPTED, LOST = (
    "permission",
    "upload",
    "download",
    "interrupted",
    "lost",
)
PERMANENT = frozenset((INPUT, PIPELINE, PLUGIN, MESSAGE))
CAUSES = PERMANENT | {MEMORY, CRASH, HANG, DISK, PERMISSION, UPLOAD, DOWNLOAD, INTERRUPTED, LOST}


def commit_key(run: str, submission: str, job: str) -> str:
    """Where the publication of a job's outputs is claimed and recorded."""
    return "runs/%s/commits/%s/%s" % (run, submission, job)


def ledger_prefix(run: str) -> str:
    """All ledger entries of a run."""
    return "runs/%s/ledger/" % run


@dataclass(frozen=True)
class LedgerEntry:
    """One outcome of one attempt. The key holds all of it; the body holds the sentence.

    `minute` is UTC as YYYYMMDDTHHMM, `seconds` the whole job's wall time, `cause` "" when done.
    """

    run: str
    minute: str
    submission: str
    job: str
    attempt: int
    outcome: str
    cause: str = ""
    seconds: int = 0

    def key(self) -> str:
        """The key in the deployment bucket."""
        return "%s%s/%s.%s.%d.%s.%s.%d" % (
            ledger_prefix(self.run),
            self.minute,
            self.submission,
            self.job,
            self.attempt,
            self.outcome,
            self.cause or "-",
            self.seconds,
        )

    @classmethod
    def parse(cls, key: str) -> "Optional[LedgerEntry]":
        """Read a key back; None for a key that isn't an entry."""
        match = _LEDGER_KEY.match(key)
        if match is None:
            return None
        run, minute, submission, job, attempt, outcome, cause, seconds = match.groups()
        return cls(
            run=run,
            minute=minute,
            submission=submission,
            job=job,
            attempt=int(attempt),
            outcome=outcome,
            cause="" if cause == "-" else cause,
            seconds=int(seconds),
        )


_LEDGER_KEY = re.compile(
    r"^runs/([^/]+)/ledger/(\d{8}T\d{4})/"
    r"([0-9a-z]+)\.([0-9a-f]+)\.(\d+)\.(done|skipped|failed|dead)\.([a-z-]+)\.(\d+)\Z"
)


def commit_body(
    state: str, attempt: str, manifest: List[Dict[str, Any]], leftovers: Iterable[str] = ()
) -> str:
    """The JSON of a commit: `state` is "publishing" or "published"; `attempt` names the publisher,
    "" if it gave up; `manifest` is a list of {"name", "size", "sha256"}; `leftovers` are files of
    earlier attempts that don't belong to the manifest and have to be removed."""
    return json.dumps(
        {
            "v": 1,
            "state": state,
            "attempt": attempt,
            "files": manifest,
            "leftovers": sorted(leftovers),
        },
        separators=(",", ":"),
    )
