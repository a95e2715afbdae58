"""`RunConfig`: every configuration key, with what it may be and its default.

What the keys mean is said in `config_docs`. Defaults are DCP's: where DCP has a fallback for a
missing key, the fallback; otherwise the value of its sample.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.contract import ENGINES
from chalicelib.core.config_types import (
    Bucket,
    Choice,
    Flag,
    Flags,
    MachineTypes,
    Price,
    Queue,
    Text,
    Whole,
)
from chalicelib.core.upload_flags import parse_upload_flags

#: What stands in DCP's sample config until the user writes something better.
PLACEHOLDER_KEY = "your-key-file.pem"
PLACEHOLDERS = frozenset(("your-bucket-name", "bucket-name", PLACEHOLDER_KEY))

_APP = Text(
    "1 to 60 letters, digits, '_' and '-'",
    r"[A-Za-z0-9][A-Za-z0-9_-]*",
    60,
    "it begins with a letter or digit",
)
_PART = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
_IMAGE = Text(
    "an image reference such as 'cellprofiler/distributed-cellprofiler:2.2.0_4.2.8'",
    # A registry with its port, the image's path, its tag, its digest.
    rf"({_PART}:[0-9]{{1,5}}/)?{_PART}(/{_PART})*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
    hint="name in lower case, then ':' and the tag",
)
_REGION = Text("an AWS region such as 'us-east-1'", r"[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_PROFILE = Text("the name of an AWS profile", r"\S(.*\S)?", 128)
_KEY_PAIR = Text("the name of an EC2 key pair, or ''", r"[!-~]([ -~]*[!-~])?", optional=True)
_UPLOAD_FLAGS = Flags("flags of `aws s3 cp` that an upload has", most=2000, optional=True)
_CLUSTER = Text("1 to 255 letters, digits, '_' and '-'", r"[A-Za-z0-9_-]+")
_VISIBILITY = Whole(1, 43_200, "seconds", "SQS allows 12 hours, and 0 would hand out jobs twice")
_RETRIES = Whole(1, 1000, "tries", "1 tries each job once, without a second chance")
_FIRST_JOBS = Whole(0, 100, "jobs", "0 never stops early")
_LOG_GROUP = Text(
    "1 to 500 letters, digits and '_', '-', '/', '.', '#'",
    r"(?!aws/)[A-Za-z0-9_/.#-]+",
    500,
    "'aws/' at its beginning is Amazon's",
)
_PART_OF_NAME = Text("text that file names hold, or ''", most=1000, optional=True)
_COMMIT = Text(
    "a commit or version tag, or 'False'",
    r"[A-Za-z0-9_][A-Za-z0-9_./+-]*",
    hint="without spaces",
    optional=True,
)
_REQUIREMENTS = Text("a name or a path on one line, or ''", most=1000, optional=True)
_TOPIC = Text(
    "the ARN of an SNS topic such as 'arn:aws:sns:us-east-1:123456789012:lab', or ''",
    r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}",
    400,
    "a standard topic; first-in-first-out ones send no mail",
    optional=True,
)
_WORKER = Choice(("auto", "cellfleet", "dcp"))
_ENGINE = Choice(ENGINES)


class RunConfig(BaseModel):
    """A valid configuration of one app. Attributes are DCP's keys in lower case.

    Made by `chalicelib.core.config.parse_keys` or `parse_config`, which also check the keys
    against each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_name: Annotated[str, _APP]
    dockerhub_tag: Annotated[str, _IMAGE] = "cellprofiler/distributed-cellprofiler:2.2.0_4.2.8"

    aws_region: Annotated[str, _REGION] = "us-east-1"
    aws_profile: Annotated[str, _PROFILE] = "default"
    ssh_key_name: Annotated[str, _KEY_PAIR] = ""
    aws_bucket: Annotated[str, Bucket()]
    source_bucket: Annotated[str, Bucket()] = Field(default_factory=lambda v: v["aws_bucket"])
    workspace_bucket: Annotated[str, Bucket()] = Field(default_factory=lambda v: v["source_bucket"])
    destination_bucket: Annotated[str, Bucket()] = Field(default_factory=lambda v: v["aws_bucket"])
    upload_flags: Annotated[str, _UPLOAD_FLAGS] = ""

    ecs_cluster: Annotated[str, _CLUSTER] = "default"
    cluster_machines: Annotated[int, Whole(1, 10_000, "machines")] = 3
    tasks_per_machine: Annotated[int, Whole(1, 256, "containers")] = 1
    machine_type: Annotated[tuple[str, ...], MachineTypes()] = ("m5.xlarge",)
    machine_price: Annotated[float | None, Price()] = None
    on_demand_percent: Annotated[int, Whole(0, 100, "percent")] = 0
    ebs_vol_size: Annotated[int, Whole(22, 16_384, "GB")] = 30
    download_files: Annotated[bool, Flag()] = False
    assign_ip: Annotated[bool, Flag()] = True

    docker_cores: Annotated[int, Whole(1, 256, "copies")] = 4
    cpu_shares: Annotated[int, Whole(2, 256 * 1024, "CPU units, 1024 for each vCPU")] = Field(
        default_factory=lambda v: v["docker_cores"] * 1024
    )
    memory: Annotated[int, Whole(6, 25_165_824, "MB")] = 15_000
    seconds_to_start: Annotated[int, Whole(0, 43_200, "seconds")] = 180

    sqs_queue_name: Annotated[str, Queue()] = Field(
        default_factory=lambda v: v["app_name"] + "Queue"
    )
    sqs_message_visibility: Annotated[int, _VISIBILITY] = 60
    sqs_dead_letter_queue: Annotated[str, Queue()] = "user_DeadMessages"
    job_retries: Annotated[int, _RETRIES] = 10

    log_group_name: Annotated[str, _LOG_GROUP] = Field(default_factory=lambda v: v["app_name"])

    auto_monitor: Annotated[bool, Flag()] = False
    early_stop_after: Annotated[int, _FIRST_JOBS] = 10
    notify_topic: Annotated[str, _TOPIC] = ""

    create_dashboard: Annotated[bool, Flag()] = False
    clean_dashboard: Annotated[bool, Flag()] = False

    check_if_done_bool: Annotated[bool, Flag()] = False
    expected_number_files: Annotated[int, Whole(0, 1_000_000_000, "files")] = 7
    min_file_size_bytes: Annotated[int, Whole(0, 5 * 1024**4, "bytes")] = 1
    necessary_string: Annotated[str, _PART_OF_NAME] = ""

    always_continue: Annotated[bool, Flag()] = False

    use_plugins: Annotated[bool, Flag()] = False
    update_plugins: Annotated[bool, Flag()] = False
    plugins_commit: Annotated[str, _COMMIT] = ""
    install_requirements: Annotated[bool, Flag()] = False
    requirements: Annotated[str, _REQUIREMENTS] = ""

    worker: Annotated[Literal["auto", "cellfleet", "dcp"], _WORKER] = "auto"
    engine: Annotated[Literal["warm", "cli"], _ENGINE] = "warm"

    @property
    def slots_per_machine(self) -> int:
        """CellProfiler processes at once on one machine."""
        return self.tasks_per_machine * self.docker_cores

    @property
    def container_disk_gb(self) -> float:
        """The disk that each container may use, in GB."""
        return self.ebs_vol_size / self.tasks_per_machine - 2

    @property
    def upload_arguments(self) -> dict[str, Any]:
        """UPLOAD_FLAGS as the `ExtraArgs` of a boto3 upload."""
        return dict(parse_upload_flags(self.upload_flags).arguments)

    @property
    def key_name(self) -> str:
        """The EC2 key pair's name; "" for none."""
        return (
            "" if self.ssh_key_name == PLACEHOLDER_KEY else self.ssh_key_name.removesuffix(".pem")
        )

    @property
    def image_version(self) -> str:
        """CellProfiler's version as the image's tag gives it ("4.2.8"), or ""."""
        match = re.fullmatch(r"[^@]*:[^/@]*_(\d[^_/@]*)(@.*)?", self.dockerhub_tag)
        return match[1] if match else ""

    def to_keys(self) -> dict[str, Any]:
        """DCP's keys with JSON-able values; `parse_keys` makes the same configuration of them."""
        values = {name.upper(): getattr(self, name) for name in type(self).model_fields}
        return values | {"MACHINE_TYPE": list(self.machine_type)}
