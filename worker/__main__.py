"""`python -m worker`: the entry point of the worker's container."""

from __future__ import annotations

import os
import signal
import sys
import time

import boto3
from botocore.config import Config

from worker.environment import Environment, EnvironmentProblems
from worker.supervisor import Clients, Supervisor

EXIT_ENVIRONMENT = 2


def main() -> int:
    """Run the worker; returns its exit code."""
    try:
        environment = Environment.read(os.environ)
    except EnvironmentProblems as problems:
        print(problems, file=sys.stderr)
        return EXIT_ENVIRONMENT
    supervisor = Supervisor(
        environment, clients(environment), clock=time.monotonic, now=time.time, sleep=time.sleep
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _: supervisor.stop(signal.Signals(caught).name))
    return supervisor.run()


def clients(environment: Environment) -> Clients:
    """The AWS clients; AWS_ENDPOINT_URL is honoured by boto3."""
    region = environment.region or None
    patient = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=16 * environment.slots,
    )
    hasty = Config(
        retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=5
    )
    return Clients(
        s3=boto3.client("s3", region_name=region, config=patient),
        sqs=boto3.client("sqs", region_name=region, config=patient),
        logs=boto3.client("logs", region_name=region, config=hasty),
    )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Past the grace a slot may be stuck in a request; waiting for its thread would hold up
    # the machine.
    os._exit(code)
