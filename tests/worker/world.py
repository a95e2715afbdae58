"""A small run to test the worker in: buckets, queues, a plate, and a stand-in CellProfiler."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import tifffile

from chalicelib import contract
from chalicelib.contract.groups import job_id
from worker.environment import Environment
from worker.inputs import Inputs
from worker.protection import Protection
from worker.queue import Lease, Queue, Stop
from worker.supervisor import Clients, Supervisor, data_files
from worker.tools import Tools
from worker.warm import WarmEngine

DATA = Path(__file__).parent / "data"
RUN = "Plate-20250101T0000000000"
SUBMISSION = "abcdef0123456789"
WELLS = ("A01", "A02", "B01")
SITES = 2
PIPELINE = "project/pipelines/nuclei.cppipe"
CSV = "project/load_data.csv"


def nuclei_image(nuclei: int = 9, size: int = 200) -> numpy.ndarray[Any, Any]:
    """A 16-bit image with that many round nuclei (a square number) on a dark ground."""
    y, x = numpy.mgrid[:size, :size]
    side = int(nuclei**0.5)
    centres = [(number + 0.5) * size / side for number in range(side)]
    image = numpy.full((size, size), 500.0)
    for cy in centres:
        for cx in centres:
            image += 30000 * numpy.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 6**2))
    return image.clip(0, 65535).astype("uint16")


def load_data_csv(wells: tuple[str, ...] = WELLS) -> str:
    """LoadData's CSV of the plate, with the paths of DCP's container."""
    lines = ["FileName_DNA,PathName_DNA,Metadata_Well,Metadata_Site"]
    lines += [
        f"{well} s{site}.tif,{contract.BUCKET_MOUNT}/project/images,{well},{site}"
        for well in wells
        for site in range(1, SITES + 1)
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class World:
    """All of it. One bucket plays every part."""

    s3: Any
    sqs: Any
    logs: Any
    endpoint: str
    bucket: str
    queue_url: str
    dead_letter_url: str
    log_group: str
    folder: Path
    engines: list[WarmEngine] = field(default_factory=list)

    @classmethod
    def make(cls, aws: Callable[[str], Any], endpoint: str, bucket: str, folder: Path) -> World:
        sqs, name = aws("sqs"), uuid.uuid4().hex[:12]
        world = cls(
            s3=aws("s3"),
            sqs=sqs,
            logs=aws("logs"),
            endpoint=endpoint,
            bucket=bucket,
            queue_url=sqs.create_queue(QueueName=f"Plate{name}Queue")["QueueUrl"],
            dead_letter_url=sqs.create_queue(QueueName=f"Dead{name}")["QueueUrl"],
            log_group=f"Plate{name}",
            folder=folder,
        )
        world.logs.create_log_group(logGroupName=world.log_group)
        world.put(PIPELINE, (DATA / "nuclei.cppipe").read_bytes())
        world.put(CSV, load_data_csv().encode())
        path = folder / "image.tif"
        tifffile.imwrite(path, nuclei_image(), rowsperstrip=16)
        for well in WELLS:
            for site in range(1, SITES + 1):
                world.put(f"project/images/{well} s{site}.tif", path.read_bytes())
        fake = folder / "cellprofiler"
        fake.write_text(f"#!{sys.executable}\n" + (DATA / "fake_cellprofiler.py").read_text())
        fake.chmod(0o755)
        world.behave({})
        return world

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def behave(self, modes: Mapping[str, str]) -> None:
        """What the stand-in CellProfiler does, by well."""
        (self.folder / "behaviour.json").write_text(json.dumps(modes))

    def runs(self) -> list[str]:
        """The wells that the stand-in CellProfiler was started for, in order."""
        path = self.folder / "runs.txt"
        return path.read_text().split() if path.exists() else []

    # --- the worker -----------------------------------------------------------------------

    def environment(self, **changes: Any) -> Environment:
        environment = Environment(
            region="us-east-1",
            app="Plate",
            queue_url=self.queue_url,
            log_group=self.log_group,
            source_bucket=self.bucket,
            destination_bucket=self.bucket,
            workspace_bucket=self.bucket,
            root=self.folder / "root",
            run=RUN,
            state_bucket=self.bucket,
            dead_letter_url=self.dead_letter_url,
            job_retries=3,
            cellprofiler=str(self.folder / "cellprofiler"),
        )
        return replace(environment, **changes)

    def variables(self, **changes: str) -> dict[str, str]:
        """The task's environment, for a worker in a process of its own."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "APP_NAME": "Plate",
            "SQS_QUEUE_URL": self.queue_url,
            "LOG_GROUP_NAME": self.log_group,
            "AWS_BUCKET": self.bucket,
            "DOCKER_CORES": "2",
            "SECONDS_TO_START": "0",
            contract.ENV_RUN: RUN,
            contract.ENV_STATE_BUCKET: self.bucket,
            contract.ENV_DEAD_LETTER_URL: self.dead_letter_url,
            contract.ENV_JOB_RETRIES: "3",
            contract.ENV_ROOT: str(self.folder / "root"),
            contract.ENV_CELLPROFILER: str(self.folder / "cellprofiler"),
            **changes,
        }

    def queue(self) -> Queue:
        return Queue(self.sqs, self.queue_url, self.dead_letter_url, poll_seconds=0)

    def tools(self, **changes: Any) -> Tools:
        """The tools of a worker of its own, with changes to its environment or its tools."""
        fields = set(Tools.__dataclass_fields__)
        ours = {key: changes.pop(key) for key in fields & set(changes)}
        environment = self.environment(**changes)
        tools = Tools(
            environment=environment,
            s3=self.s3,
            logs=self.logs,
            queue=Queue(self.sqs, self.queue_url, environment.dead_letter_url, poll_seconds=0),
            inputs=Inputs(self.s3),
            protection=Protection("", time.monotonic),
            stop=Stop(time.monotonic),
            data_files=data_files(environment, self.s3),
            engine=self.engine(environment.cellprofiler),
            clock=time.monotonic,
            now=time.time,
            alive=lambda: None,
        )
        return replace(tools, **ours)

    def engine(self, cellprofiler: str) -> WarmEngine:
        """A slot's engine, whose process ends with the test."""
        engine = WarmEngine(cellprofiler, self.folder, time.monotonic)
        self.engines.append(engine)
        return engine

    def supervisor(self, **changes: Any) -> Supervisor:
        return Supervisor(
            self.environment(**changes),
            Clients(self.s3, self.sqs, self.logs),
            clock=time.monotonic,
            now=time.time,
            sleep=time.sleep,
            poll_seconds=0,
        )

    # --- the queue ------------------------------------------------------------------------

    def message(self, well: str, **changes: Any) -> contract.JobMessage:
        group = changes.pop("group", (("Metadata_Well", well),))
        folder = f"project/output/{well}"
        message = contract.JobMessage(
            pipeline=PIPELINE,
            data_file=CSV,
            input="project",
            output="project/output",
            output_structure="",
            group=group,
            folder=folder,
            job=job_id(PIPELINE, CSV, group, folder),
            run=RUN,
            submission=SUBMISSION,
        )
        return replace(message, **changes)

    def send(self, message: contract.JobMessage | str) -> None:
        body = message if isinstance(message, str) else message.encode()
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def lease(self, message: contract.JobMessage | str | None = None) -> Lease:
        """Lease the next message, after sending this one."""
        if message is not None:
            self.send(message)
        lease = self.queue().receive()
        assert lease is not None, "the queue is empty"
        return lease

    def queued(self) -> tuple[int, int]:
        """Messages (visible, hidden)."""
        names = (
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        visible, hidden, delayed = (int(found["Attributes"][name]) for name in names)
        return visible, hidden + delayed

    def dead(self) -> list[str]:
        """The bodies in the dead-letter queue."""
        answer = self.sqs.receive_message(
            QueueUrl=self.dead_letter_url, MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        return [message["Body"] for message in answer.get("Messages", [])]

    # --- what came out --------------------------------------------------------------------

    def keys(self, prefix: str) -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in answer.get("Contents", [])]

    def text(self, key: str) -> str:
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return str(body.decode())

    def outputs(self, well: str) -> dict[str, str]:
        """The published files of a well."""
        prefix = f"project/output/{well}/"
        return {key[len(prefix) :]: self.text(key) for key in self.keys(prefix)}

    def ledger(self) -> list[tuple[contract.LedgerEntry, dict[str, Any]]]:
        """The ledger's entries with their bodies, in the order of their keys."""
        found = []
        for key in self.keys(contract.ledger_prefix(RUN)):
            entry = contract.LedgerEntry.parse(key)
            assert entry is not None, f"{key} is no ledger key"
            found.append((entry, json.loads(self.text(key))))
        return found

    def outcomes(self) -> list[tuple[str, str]]:
        """(outcome, cause) of each ledger entry."""
        return sorted((entry.outcome, entry.cause) for entry, _ in self.ledger())

    def sentence(self) -> str:
        """What the only ledger entry says."""
        ((_, body),) = self.ledger()
        return str(body["sentence"])

    def leftovers(self) -> list[Path]:
        """Files that jobs left on the worker's disk; data files are kept for the next ones."""
        root, kept = self.folder / "root", self.environment().data_files
        files = [path for path in root.rglob("*") if path.is_file()]
        return [path for path in files if kept not in path.parents]
