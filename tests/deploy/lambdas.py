"""Deployed Lambdas, run: the code that was uploaded, with nothing of this environment beside it.

A process for each invocation, in the folder of the function's own zip, isolated from the Python
packages that the tests have: what is missing in the zip is missing here.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

_RUNTIME = """
import importlib, json, sys, time
folder, handler, seconds, name, answer = sys.argv[1:]
sys.path.insert(0, folder)
class Context:
    function_name, aws_request_id, memory_limit_in_mb = name, "request", 512
    function_version, invoked_function_arn = "$LATEST", "arn:aws:lambda:::function:" + name
    deadline = time.monotonic() + float(seconds)
    def get_remaining_time_in_millis(self):
        return int((self.deadline - time.monotonic()) * 1000)
module, _, function = handler.rpartition(".")
event = json.load(sys.stdin)
found = getattr(importlib.import_module(module), function)(event, Context())
strangers = sorted({m.__name__ for m in list(sys.modules.values())
                    if "site-packages" in (getattr(m, "__file__", None) or "")})
with open(answer, "w") as file:
    json.dump({"answer": found, "strangers": strangers}, file)
"""


class Lambdas:
    """Invocations wait here until they are run: `deliver` only takes note of them."""

    def __init__(self, folder: Path, region: str):
        self._folder = folder
        self._region = region
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()

    def deliver(self, arn: str, event: dict[str, Any]) -> None:
        self._waiting.append((arn, event))

    @property
    def waiting(self) -> list[str]:
        """The functions that are to run, in order."""
        return [arn.split(":")[6] for arn, _ in self._waiting]

    def run_waiting(self, access: Mapping[str, str]) -> list[str]:
        """Run what waits, and what that sets off; the functions' names."""
        return list(self._run_all(access))

    def _run_all(self, access: Mapping[str, str]) -> Iterator[str]:
        while self._waiting:
            arn, event = self._waiting.popleft()
            self.run(arn, event, access)
            yield arn.split(":")[6]

    def run(self, arn: str, event: Mapping[str, Any], access: Mapping[str, str]) -> Any:
        """Run one invocation; its answer. `access` leads to the AWS that it is to talk to.

        Raises RuntimeError with its log when it failed."""
        name = arn.split(":")[6]
        function: LambdaFunction = lambda_backends[DEFAULT_ACCOUNT_ID][self._region].get_function(
            name
        )
        answer = self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        done = subprocess.run(
            [
                sys.executable, "-I", "-S", "-c", _RUNTIME, str(self._unpacked(function)),
                function.handler, str(function.timeout), name, str(answer),
            ],
            input=json.dumps(event),
            text=True,
            capture_output=True,
            env={
                **function.environment_vars,
                **access,
                "AWS_LAMBDA_FUNCTION_NAME": name,
                "AWS_REGION": self._region,
            },
            check=False,
        )  # fmt: skip
        self._log(function, done.stdout + done.stderr)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        found = json.loads(answer.read_text("utf-8"))
        assert found["strangers"] == [], "imported from outside the package"
        return found["answer"]

    def _unpacked(self, function: LambdaFunction) -> Path:
        folder = self._folder / base64.urlsafe_b64encode(function.code_digest.encode()).decode()
        if not folder.exists():
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as package:
                package.extractall(folder)
        return folder

    def _log(self, function: LambdaFunction, text: str) -> None:
        """As Lambda: a function's first words make its log group."""
        logs = function.logs_backend
        logs.ensure_log_group(function.logs_group_name)
        group = logs.groups[function.logs_group_name]
        if "stream" not in group.streams:
            group.create_log_stream("stream")
        if text:
            group.put_log_events("stream", [{"timestamp": 0, "message": text}])
