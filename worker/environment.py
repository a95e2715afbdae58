"""The task's environment, read once, as one frozen value."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, TypeVar

from chalicelib import contract

T = TypeVar("T")

#: DCP's UPLOAD_FLAGS (of `aws s3 mv`) as arguments of boto3; None: only for copies, ignored.
UPLOAD_FLAGS = {
    "--acl": "ACL",
    "--cache-control": "CacheControl",
    "--metadata-directive": None,
    "--sse": "ServerSideEncryption",
    "--sse-kms-key-id": "SSEKMSKeyId",
    "--storage-class": "StorageClass",
}

MIN_TIMEOUT = 2 * 3600.0
#: SQS ends a lease 12 hours after it was given, whatever we do.
MAX_TIMEOUT = 11.5 * 3600.0


class EnvironmentProblems(Exception):
    """The environment can't be used; `problems` says all that is wrong with it."""

    def __init__(self, problems: list[str]):
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "The worker's environment can't be used:\n" + "\n".join(
            "  - %s" % problem for problem in self.problems
        )


@dataclass(frozen=True)
class Environment:
    """What the task definition and the image tell the worker. Times are in seconds.

    `run`, `state_bucket` and `dead_letter_url` are "" under DCP's control plane; the worker
    then publishes without commits and keeps no ledger. `job_retries` is 0 there: SQS alone
    counts.
    """

    region: str
    app: str
    queue_url: str
    log_group: str
    source_bucket: str
    destination_bucket: str
    workspace_bucket: str
    root: Path
    slots: int = 1
    seconds_to_start: float = 0.0
    check_if_done: bool = False
    expected_files: int = 1
    min_file_bytes: int = 1
    necessary_string: str = ""
    use_plugins: bool = False
    download_files: bool = True
    always_continue: bool = False
    upload_arguments: Mapping[str, Any] | None = None
    run: str = ""
    state_bucket: str = ""
    dead_letter_url: str = ""
    job_retries: int = 0
    expected_seconds: float = 0.0
    host_dir: Path | None = None
    idle_seconds: float = contract.IDLE_SECONDS
    cellprofiler: str = "cellprofiler"
    engine: str = contract.WARM
    ecs_agent_uri: str = ""

    @property
    def mount(self) -> Path:
        """Where the source bucket's files are, or are downloaded to."""
        return self.root / "bucket"

    @property
    def work(self) -> Path:
        """Where each job has a folder of its own."""
        return self.root / "local_output"

    @property
    def data_files(self) -> Path:
        """Where data files are kept while they are in use."""
        return self.root / "data_files"

    @property
    def plugins(self) -> Path | None:
        """The folder of CellProfiler's plugins; None if there isn't one."""
        clone = self.root / "CellProfiler-plugins"
        return next((p for p in (clone / "active_plugins", clone) if p.is_dir()), None)

    @property
    def job_timeout(self) -> float:
        """When a job is taken to hang."""
        return min(max(10 * self.expected_seconds, MIN_TIMEOUT), MAX_TIMEOUT)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """From `os.environ`. Raises EnvironmentProblems."""
        reader = _Reader(variables)
        bucket = reader.bucket("AWS_BUCKET", "")
        source = reader.bucket("SOURCE_BUCKET", bucket)
        host_dir = reader.text(contract.ENV_HOST_DIR)
        environment = cls(
            region=reader.text("AWS_REGION"),
            app=reader.text("APP_NAME"),
            queue_url=reader.required("SQS_QUEUE_URL"),
            log_group=reader.text("LOG_GROUP_NAME"),
            source_bucket=source or reader.required("AWS_BUCKET"),
            destination_bucket=reader.bucket("DESTINATION_BUCKET", bucket),
            workspace_bucket=reader.bucket("WORKSPACE_BUCKET", source),
            root=Path(reader.text(contract.ENV_ROOT) or "/home/ubuntu").absolute(),
            slots=max(1, reader.whole("DOCKER_CORES", 1)),
            seconds_to_start=reader.seconds("SECONDS_TO_START", 0.0),
            check_if_done=reader.yes("CHECK_IF_DONE_BOOL"),
            expected_files=reader.whole("EXPECTED_NUMBER_FILES", 1),
            min_file_bytes=reader.whole("MIN_FILE_SIZE_BYTES", 1),
            necessary_string=reader.text("NECESSARY_STRING"),
            use_plugins=reader.yes("USE_PLUGINS"),
            download_files=reader.yes("DOWNLOAD_FILES"),
            always_continue=reader.yes("ALWAYS_CONTINUE"),
            upload_arguments=reader.upload_arguments(),
            run=reader.text(contract.ENV_RUN),
            state_bucket=reader.text(contract.ENV_STATE_BUCKET),
            dead_letter_url=reader.text(contract.ENV_DEAD_LETTER_URL),
            job_retries=reader.whole(contract.ENV_JOB_RETRIES, 0),
            expected_seconds=reader.seconds(contract.ENV_EXPECTED_SECONDS, 0.0),
            host_dir=Path(host_dir) if host_dir else None,
            idle_seconds=reader.seconds(contract.ENV_IDLE_SECONDS, contract.IDLE_SECONDS),
            cellprofiler=reader.text(contract.ENV_CELLPROFILER) or "cellprofiler",
            engine=reader.one_of(contract.ENV_ENGINE, contract.ENGINES),
            ecs_agent_uri=reader.text("ECS_AGENT_URI"),
        )
        if reader.problems:
            raise EnvironmentProblems(reader.problems)
        return environment


class _Reader:
    """Takes values out of the environment and collects what is wrong with them."""

    def __init__(self, variables: Mapping[str, str]):
        self.variables = variables
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        return self.variables.get(name, "").strip()

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            self.problems.append("%s is not set; the task definition has to give it" % name)
        return value

    def bucket(self, name: str, otherwise: str) -> str:
        value = self.text(name)
        return otherwise if value in ("", "False") else value

    def yes(self, name: str) -> bool:
        return self.text(name).lower() == "true"

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        """The first choice where nothing is said."""
        value = self.text(name) or choices[0]
        if value not in choices:
            self.problems.append(
                "%s is %r, expected %s" % (name, value, " or ".join(map(repr, choices)))
            )
        return value

    def whole(self, name: str, otherwise: int) -> int:
        return self._number(name, otherwise, int, "a whole number")

    def seconds(self, name: str, otherwise: float) -> float:
        return self._number(name, otherwise, float, "a number of seconds")

    def _number(self, name: str, otherwise: T, kind: Callable[[str], T], expected: str) -> T:
        value = self.text(name)
        if not value:
            return otherwise
        try:
            return kind(value)
        except ValueError:
            self.problems.append("%s is %r, expected %s" % (name, value, expected))
            return otherwise

    def upload_arguments(self) -> dict[str, Any]:
        """Ours as JSON; failing that, DCP's flags."""
        ours = self.text(contract.ENV_UPLOAD_ARGUMENTS)
        if not ours:
            return self._upload_flags(self.text("UPLOAD_FLAGS"))
        try:
            arguments = json.loads(ours)
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            self.problems.append(
                "%s is %r, expected a JSON object" % (contract.ENV_UPLOAD_ARGUMENTS, ours)
            )
            return {}
        return arguments

    def _upload_flags(self, flags: str) -> dict[str, Any]:
        """DCP's own flags: only a task under DCP's control plane has nothing better to offer,
        since ours translates them (more of them) when it reads the config. What isn't
        supported is a problem: results without the ACL asked for would be wrong in silence.
        """
        arguments = {}
        words = shlex.split(flags.replace("=", " "))
        for flag, value in zip(words[::2], [*words[1::2], ""]):
            if flag not in UPLOAD_FLAGS or not value:
                self.problems.append(
                    "UPLOAD_FLAGS: %r is not understood, expected pairs of %s"
                    % (" ".join((flag, value)).strip(), ", ".join(UPLOAD_FLAGS))
                )
                continue
            name = UPLOAD_FLAGS[flag]
            if name is not None:
                arguments[name] = value
        return arguments
