"""An AWS on loopback: moto behind a port, mended where CellFleet relies on it.

State lives in this process and ends with it. moto keeps its state in globals, so one process
runs one `EmbeddedAWS` at a time.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from local import (
    moto_cloudformation,
    moto_cloudwatch,
    moto_ec2,
    moto_ecs,
    moto_logs,
    moto_s3,
    moto_sqs,
)
from local.agent import PREFIX, Protector, Wsgi, with_agent
from local.api import PREFIX as API_PREFIX
from local.api import LocalApi
from local.patching import Patches

HOST = "127.0.0.1"
WORKER_IMAGE = "cellfleet/worker:local_4.2.8"

#: Variables through which a user's own AWS settings would reach us.
_FOREIGN = ("AWS_", "BOTO_", "CELLFLEET_")
_KEPT = ("CELLFLEET_CELLPROFILER",)


#: Held by the one that runs.
_running = threading.Lock()


class _QuietHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing about requests; errors are still logged."""


class EmbeddedAWS:
    """Server, deployment bucket (versioned) and network. A context manager.

    `deliver(function_arn, event)` gets the bucket notifications that go to Lambda functions;
    it is called during the write, so it must only take note. `protector` answers for tasks at the
    ECS agent's endpoint, `api` for the routes of an app. `wire` may wrap the whole server (tests
    count and fail requests there). Port 0 takes any free one. `start` raises OSError if the port is
    taken.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        bucket: str = "cellfleet-local",
        region: str = "us-east-1",
        deliver: Callable[[str, dict[str, Any]], None] | None = None,
        protector: Protector | None = None,
        api: LocalApi | None = None,
        wire: Callable[[Wsgi], Wsgi] | None = None,
    ):
        self.bucket = bucket
        self.region = region
        self._port = port
        self._deliver = deliver or (lambda _arn, _event: None)
        self._protector = protector
        self._api = api
        self._wire = wire
        self._patches = Patches()
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._network: dict[str, str] = {}
        self._making = threading.Lock()  # a session makes one client at a time

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bind, patch, serve, and make the bucket."""
        if not _running.acquire(blocking=False):
            raise RuntimeError("one embedded AWS at a time: moto keeps its state in globals")
        try:
            self._serve()
        except BaseException:
            self._patches.close()
            _running.release()
            raise
        try:
            self.furnish()
        except BaseException:
            self.stop()
            raise

    def _serve(self) -> None:
        listening = self._listen()
        try:
            moto_api_backend.reset()
            moto_sqs.install(self._patches)
            moto_s3.install(self._patches, self._deliver)
            moto_ec2.install(self._patches)
            moto_ecs.install(self._patches)
            moto_cloudwatch.install(self._patches)
            moto_logs.install(self._patches)
            moto_cloudformation.install(self._patches)
            app: Wsgi = DomainDispatcherApplication(create_backend_app)
            if self._protector is not None:
                app = with_agent(app, self._protector)
            if self._api is not None:
                app = self._api.in_front_of(app)
            if self._wire is not None:
                app = self._wire(app)
            self._server = make_server(
                HOST,
                self._port,
                app,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
        finally:
            listening.close()  # the server has duplicated it
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="aws-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, forget everything, put moto's parts back. Harmless if not started."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None
        moto_api_backend.reset()
        self._patches.close()
        _running.release()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def agent(self) -> str:
        """The ECS agent's endpoint for tasks; a task's id is to be added."""
        return f"{self.endpoint}{PREFIX}"

    @property
    def access(self) -> dict[str, str]:
        """The environment that leads any AWS client here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "cellfleet",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of the control plane, as a deployed stage would have it."""
        roles = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role"
        return {
            **self.access,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "CELLFLEET_BUCKET": self.bucket,
            "CELLFLEET_INSTANCE_PROFILE": (
                f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:instance-profile/cellfleet-instance"
            ),
            "CELLFLEET_FLEET_ROLE": f"{roles}/cellfleet-fleet",
            "CELLFLEET_TASK_ROLE": f"{roles}/cellfleet-task",
            "CELLFLEET_EXECUTION_ROLE": f"{roles}/cellfleet-execution",
            "CELLFLEET_WORKER_IMAGE": WORKER_IMAGE,
            # The emulator frees a deleted queue's name at once.
            "CELLFLEET_QUEUE_NAME_SECONDS": "0",
            **self._network,
            **({"CELLFLEET_API": f"{self.endpoint}{API_PREFIX}"} if self._api else {}),
        }

    def client(self, service: str) -> Any:
        """A new boto3 client of this AWS; close it when done with it."""
        with self._making:
            return self._session.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.endpoint,
                config=Config(retries={"mode": "standard"}, proxies={}),
            )

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=self.access["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.access["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
        )

    def _listen(self) -> socket.socket:
        listening = socket.socket()
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, self._port))
            listening.listen(128)
        except OSError:
            listening.close()
            raise
        self._port = listening.getsockname()[1]
        return listening

    def furnish(self) -> None:
        """Make what every account has: the deployment bucket, subnets, a security group."""
        s3, ec2 = self.client("s3"), self.client("ec2")
        where = {}
        if self.region != "us-east-1":
            where = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        s3.create_bucket(Bucket=self.bucket, **where)
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        subnets = ec2.describe_subnets()["Subnets"]
        groups = ec2.describe_security_groups()["SecurityGroups"]
        self._network = {
            "CELLFLEET_SUBNETS": ",".join(subnet["SubnetId"] for subnet in subnets),
            "CELLFLEET_SECURITY_GROUPS": ",".join(group["GroupId"] for group in groups),
        }
        s3.close()
        ec2.close()


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """`os.environ` with `values`, without any other AWS or CellFleet setting; then as before."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(_FOREIGN) and name not in _KEPT:
            del os.environ[name]
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
