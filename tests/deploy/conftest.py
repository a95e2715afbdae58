"""One real `chalice deploy` for all tests of the room, against the embedded AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import moto_deploy
from local.aws import EmbeddedAWS
from local.patching import Patches
from tests.deploy.account import inventory
from tests.deploy.lambdas import Lambdas
from tests.deploy.project import Project

STAGE = "dev"
APP = "cellfleet"


@dataclass
class Deployment:
    """A deployed stage, the account it is in, and what each step of the way left there."""

    aws: EmbeddedAWS
    project: Project
    lambdas: Lambdas
    seen: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def look(self) -> dict[str, dict[str, Any]]:
        return inventory(self.client, self.aws.bucket)

    def chalice(self, *arguments: str | Path) -> str:
        return self.project.chalice(*arguments, environment=self.aws.access | self.region)

    @property
    def region(self) -> dict[str, str]:
        return {"AWS_DEFAULT_REGION": self.aws.region}

    def function(self, name: str) -> str:
        """The ARN of one of the app's functions."""
        found = self.client("lambda").get_function(FunctionName=f"{APP}-{STAGE}-{name}")
        return str(found["Configuration"]["FunctionArn"])

    def ring(self, rule: str) -> list[str]:
        """EventBridge's clock strikes; the functions that ran in the end."""
        [target] = self.look()["rules"][rule]["targets"]
        self.lambdas.deliver(target, _struck(rule))
        return self.lambdas.run_waiting(self.aws.access)

    def put(self, key: str, body: Any) -> None:
        self.client("s3").put_object(Bucket=self.aws.bucket, Key=key, Body=json.dumps(body))

    def read(self, key: str) -> Any:
        found = self.client("s3").get_object(Bucket=self.aws.bucket, Key=key)
        return json.loads(found["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=self.aws.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]


def _struck(rule: str) -> dict[str, Any]:
    """The event of a schedule."""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-10-08T16:53:06Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:events:us-east-1:123456789012:rule/{rule}"],
        "detail": {},
    }


def settings_of(aws: EmbeddedAWS) -> Mapping[str, str]:
    """What a user writes into `.chalice/config.json`."""
    return {name: value for name, value in aws.env.items() if name.startswith("CELLFLEET_")}


@pytest.fixture(scope="package")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deployed, and deployed once more: `seen` holds what there was before, and after each."""
    lambdas = Lambdas(tmp_path_factory.mktemp("lambdas"), "us-east-1")
    with EmbeddedAWS(deliver=lambdas.deliver) as aws, Patches() as patches:
        moto_deploy.install(patches, lambdas.deliver)
        project = Project(tmp_path_factory.mktemp("project"), settings_of(aws))
        deployment = Deployment(aws, project, lambdas)
        # Somebody else's, in the same bucket.
        deployment.client("sqs").create_queue(QueueName="others")
        deployment.client("s3").put_bucket_notification_configuration(
            Bucket=aws.bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": f"arn:aws:sqs:{aws.region}:123456789012:others",
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "raw/"}]}},
                    }
                ]
            },
        )
        deployment.seen["before"] = deployment.look()
        for time in ("first", "second"):
            deployment.chalice("deploy", "--stage", STAGE)
            deployment.seen[time] = deployment.look()
        yield deployment
