"""What the tests of the embedded AWS share: a recorder, and a site with fleets and services."""

import base64
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends
from moto.logs.models import logs_backends

from local.aws import EmbeddedAWS
from local.ecs import EcsStandIn, Timing
from local.launch import Launcher
from tests.syntax import ROOT

SLEEP = ("sleep", "1000")


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true value of `condition`. Fails when it takes absurdly long."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return value


def is_running(pid: int) -> bool:
    """Whether the process exists and isn't merely waiting to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def pids_with(text: str) -> list[int]:
    """Running processes whose command line or environment holds `text`, but for our own."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            held = b"\0".join(
                Path(f"/proc/{name}/{file}").read_bytes() for file in ("cmdline", "environ")
            )
        except OSError:
            continue
        if text.encode() in held and is_running(int(name)):
            found.append(int(name))
    return found


class Recorder:
    """Stands where the dispatcher would."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def deliver(self, arn: str, event: dict[str, Any]) -> None:
        self.events.append((arn, event))


class Ground:
    """What a site stands on; answers at the agent's endpoint for the stand-in of the site."""

    aws: EmbeddedAWS
    site: "Site"

    def protect(self, task: str, minutes: float) -> str | None:
        return self.site.stand_in.protect(task, minutes)

    def protected_minutes(self, task: str) -> tuple[str, float] | None:
        return self.site.stand_in.protected_minutes(task)

    def clear(self) -> None:
        """Forget ECS and logs, and terminate all machines. (A whole new AWS takes longer.)"""
        for backends in (ecs_backends, logs_backends):
            backends[DEFAULT_ACCOUNT_ID][self.aws.region].reset()
        ec2: Any = ec2_backends[DEFAULT_ACCOUNT_ID][self.aws.region]
        for instance in ec2.all_running_instances():
            instance.terminate()


class Site:
    """Fleets and services as the control plane makes them, and machines that run `worker`."""

    def __init__(self, aws: EmbeddedAWS, folder: Path):
        self.aws = aws
        self.folder = folder
        self.worker: Sequence[str] = SLEEP
        self._stack = ExitStack()
        self.ecs, self.ec2, self.logs = (aws.client(name) for name in ("ecs", "ec2", "logs"))
        for client in (self.ecs, self.ec2, self.logs):
            self._stack.callback(client.close)

    def __enter__(self) -> Self:
        self.ecs.create_cluster(clusterName="default")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def open(
        self,
        worker: Sequence[str] = SLEEP,
        *,
        restart: float = 0.0,
        longest_stop: float = 60.0,
        grace: float = 0.0,
    ) -> None:
        """Start the stand-in; workers are `worker`, instances boot at once."""
        launcher = Launcher(
            command=worker,
            project=ROOT,
            folder=self.folder,
            environment=self.aws.access,
            agent=self.aws.agent,
            longest_stop=longest_stop,
        )
        timing = Timing(poll=0.05, boot=0.0, shutdown=0.0, restart=restart)
        self.stand_in = EcsStandIn(launcher, timing=timing)
        self._stack.callback(self.stand_in.stop, grace)

    def step(self) -> None:
        """Two looks: what the first one does, the second one sees."""
        self.stand_in.step()
        self.stand_in.step()

    def until(self, condition: Callable[[], Any]) -> Any:
        """Look until `condition` holds."""

        def looked() -> Any:
            self.step()
            return condition()

        return until(looked)

    def fleet(self, run: str, machines: int, *, cluster: str = "default") -> str:
        """Request machines for a run; returns the fleet's id."""
        attributes = json.dumps({"cellfleet.run": run})
        script = "\n".join(
            [
                "#!/bin/bash",
                "cat > /etc/ecs/ecs.config <<'END'",
                f"ECS_CLUSTER={cluster}",
                f"ECS_INSTANCE_ATTRIBUTES={attributes}",
                "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
                "END",
            ]
        )
        template = self.ec2.create_launch_template(
            LaunchTemplateName=f"{run}-{time.monotonic_ns()}",
            LaunchTemplateData={
                "ImageId": "ami-05fb4f257abd42992",
                "UserData": base64.b64encode(script.encode()).decode(),
            },
        )["LaunchTemplate"]
        fleet = self.ec2.request_spot_fleet(
            SpotFleetRequestConfig={
                "TargetCapacity": machines,
                "Type": "request",
                "AllocationStrategy": "priceCapacityOptimized",
                "IamFleetRole": self.aws.env["CELLFLEET_FLEET_ROLE"],
                "LaunchTemplateConfigs": [
                    {
                        "LaunchTemplateSpecification": {
                            "LaunchTemplateId": template["LaunchTemplateId"],
                            "Version": "1",
                        },
                        "Overrides": [
                            {
                                "InstanceType": "m4.xlarge",
                                "SubnetId": self.aws.env["CELLFLEET_SUBNETS"].split(",")[0],
                            }
                        ],
                    }
                ],
            }
        )
        return str(fleet["SpotFleetRequestId"])

    def service(
        self,
        app: str,
        desired: int,
        *,
        run: str | None = None,
        memory: int = 1000,
        log_group: str = "",
    ) -> None:
        """A service of `desired` tasks that may only run on the machines of its run."""
        container: dict[str, Any] = {
            "name": app,
            "image": "cellfleet/worker:test",
            "cpu": 256,
            "memory": memory,
            "stopTimeout": 110,
            "environment": [{"name": "APP_NAME", "value": app}],
        }
        if log_group:
            options = {"awslogs-group": log_group, "awslogs-stream-prefix": "worker"}
            container["logConfiguration"] = {"logDriver": "awslogs", "options": options}
        self.ecs.register_task_definition(family=f"{app}Task", containerDefinitions=[container])
        expression = f"attribute:cellfleet.run == {run or app}"
        self.ecs.create_service(
            serviceName=f"{app}Service",
            taskDefinition=f"{app}Task",
            desiredCount=desired,
            launchType="EC2",
            placementConstraints=[{"type": "memberOf", "expression": expression}],
            deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100},
        )

    def desire(self, app: str, count: int) -> None:
        """Change how many tasks a service wants, and look."""
        self.ecs.update_service(service=f"{app}Service", desiredCount=count)
        self.step()

    def described(self, app: str) -> dict[str, Any]:
        """DescribeServices of an app."""
        found: dict[str, Any] = self.ecs.describe_services(services=[f"{app}Service"])
        return dict(found["services"][0])

    def tasks(self, app: str) -> list[dict[str, Any]]:
        """The running tasks of an app, described."""
        arns = self.ecs.list_tasks(serviceName=f"{app}Service")["taskArns"]
        return list(self.ecs.describe_tasks(tasks=arns)["tasks"]) if arns else []

    def machines(self) -> list[dict[str, Any]]:
        """The registered container instances, described."""
        arns = self.ecs.list_container_instances()["containerInstanceArns"]
        if not arns:
            return []
        return list(
            self.ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
        )

    def pids(self) -> list[int]:
        """The processes of all containers."""
        return sorted(pid for pids in self.stand_in.processes().values() for pid in pids)
