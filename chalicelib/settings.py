"""The deployment's environment, parsed once.

Everything that belongs to the AWS account rather than to one analysis: where state is kept,
which roles machines and containers take, where fleets may be launched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.errors import ConfigError, Problem

BUCKET = "CELLFLEET_BUCKET"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One deployment. Roles are ARNs, or names where only EC2 takes them (profile, fleet role)."""

    bucket: str
    region: str
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    instance_profile: str = "ecsInstanceRole"
    fleet_role: str = "aws-ec2-spot-fleet-tagging-role"
    task_role: str = ""
    execution_role: str = ""
    #: The image to run instead of a DCP image of the same CellProfiler version.
    worker_image: str = ""
    #: The SNS topic that is told of runs without a NOTIFY_TOPIC of their own.
    topic: str = ""
    #: How long SQS keeps the name of a deleted queue.
    queue_name_seconds: float = 60.0
    #: Whether a finished run's logs are exported to its AWS_BUCKET.
    export_logs: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment. Raises ConfigError when the deployment bucket isn't named."""
        bucket = environment.get(BUCKET, "").strip()
        if not bucket:
            raise ConfigError(
                "environment",
                [
                    Problem(
                        where=BUCKET,
                        expected="the name of the deployment bucket, where job files and state lie",
                        hint=f"export {BUCKET}=your-bucket",
                    )
                ],
            )

        def text(name: str, default: str = "") -> str:
            return environment.get(f"CELLFLEET_{name}", "").strip() or default

        def names(name: str) -> tuple[str, ...]:
            return tuple(part.strip() for part in text(name).split(",") if part.strip())

        return cls(
            bucket=bucket,
            region=environment.get("AWS_REGION")
            or environment.get("AWS_DEFAULT_REGION")
            or "us-east-1",
            subnets=names("SUBNETS"),
            security_groups=names("SECURITY_GROUPS"),
            instance_profile=text("INSTANCE_PROFILE", cls.instance_profile),
            fleet_role=text("FLEET_ROLE", cls.fleet_role),
            task_role=text("TASK_ROLE"),
            execution_role=text("EXECUTION_ROLE"),
            worker_image=text("WORKER_IMAGE"),
            topic=text("TOPIC"),
            queue_name_seconds=float(text("QUEUE_NAME_SECONDS", "60")),
            export_logs=text("EXPORT_LOGS", "True").lower() != "false",
        )
