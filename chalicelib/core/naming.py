"""The names of everything an app owns, and the tags that prove it.

Names are DCP's, so that users find their things where they always were. Every name is
exact: nothing is ever looked up by prefix, suffix or substring.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.core.config import RunConfig

TAG_APP = "cellfleet.app"
TAG_RUN = "cellfleet.run"
TAG_DEPLOYMENT = "cellfleet.deployment"
#: The ECS instance attribute that keeps two apps on one cluster on their own machines.
RUN_ATTRIBUTE = "cellfleet.run"


def new_run_id(app: str, now: datetime, salt: str) -> str:
    """`{app}-{UTC time}{4 hex digits}`: runs of an app sort by time.

    The digits come from `salt` (anything unique), so that two runs in one second differ.
    """
    digits = hashlib.sha256(salt.encode()).hexdigest()[:4]
    return f"{app}-{now:%Y%m%dT%H%M%S}{digits}"


def app_of(run_id: str) -> str:
    """The app of a run id; app names may hold "-" themselves."""
    return run_id.rsplit("-", 1)[0]


@dataclass(frozen=True, kw_only=True)
class Names:
    """Every AWS name that one app uses."""

    app: str
    queue: str
    dead_letter_queue: str
    cluster: str
    log_group: str
    region: str

    @classmethod
    def of(cls, config: RunConfig) -> Names:
        """The names that a configuration implies."""
        return cls(
            app=config.app_name,
            queue=config.sqs_queue_name,
            dead_letter_queue=config.sqs_dead_letter_queue,
            cluster=config.ecs_cluster,
            log_group=config.log_group_name,
            region=config.aws_region,
        )

    @property
    def task_family(self) -> str:
        return f"{self.app}Task"

    @property
    def service(self) -> str:
        return f"{self.app}Service"

    @property
    def dashboard(self) -> str:
        return self.app

    @property
    def launch_template(self) -> str:
        return f"{self.app}Worker"

    @property
    def machine(self) -> str:
        """The Name tag of instances and volumes."""
        return f"{self.app}Worker"

    @property
    def instance_log_group(self) -> str:
        return f"{self.log_group}_perInstance"

    def instance_alarm(self, instance_id: str) -> str:
        """The alarm that a DCP-image worker makes for its machine."""
        return f"{self.app}_{instance_id}"


def tags(*, app: str, run_id: str, deployment: str) -> dict[str, str]:
    """The ownership tags, on everything that AWS lets us tag."""
    return {TAG_APP: app, TAG_RUN: run_id, TAG_DEPLOYMENT: deployment}
