"""The edge of AWS: clients for one process of the control plane. Every call passes here.

A call takes a little time, in which the world goes on; a fault may be put in before it, after its
effect, or instead of it. What AWS doesn't know raises Impossible.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError, ReadTimeoutError

from tests.sim.errors import BROKEN, DENIED, THROTTLED, Death, Impossible, as_operation, aws_error
from tests.sim.faults import Call, Kind

if TYPE_CHECKING:
    from tests.sim.world import World

SERVICES = ("s3", "sqs", "ecs", "ec2", "logs", "cloudwatch", "ssm", "sts", "sns", "tagging")
#: Seconds that a call takes.
LATENCY = 0.02

#: Where a listing says how to go on: the argument, the answer's field, and the page's size.
PAGES = {
    "list_objects_v2": ("ContinuationToken", "NextContinuationToken", "MaxKeys"),
    "list_container_instances": ("nextToken", "nextToken", "maxResults"),
    "list_tasks": ("nextToken", "nextToken", "maxResults"),
    "list_services": ("nextToken", "nextToken", "maxResults"),
    "list_task_definitions": ("nextToken", "nextToken", "maxResults"),
    "describe_alarms": ("NextToken", "NextToken", "MaxRecords"),
    "get_resources": ("PaginationToken", "PaginationToken", "ResourcesPerPage"),
    "describe_export_tasks": ("nextToken", "nextToken", "limit"),
    "describe_log_groups": ("nextToken", "nextToken", "limit"),
    "describe_instances": ("NextToken", "NextToken", "MaxResults"),
    "describe_spot_fleet_requests": ("NextToken", "NextToken", "MaxResults"),
    "describe_launch_templates": ("NextToken", "NextToken", "MaxResults"),
}


class Process:
    """One invocation of a Lambda, or of the command line: its clients, and its life."""

    def __init__(self, world: World, entry: str):
        self.world = world
        #: What is being done: set-up, submit, start, tick, teardown. Faults are placed by it.
        self.entry = entry
        self.calls = 0
        self.dead = False
        #: The faults that it met.
        self.met: list[tuple[Kind, Call]] = []
        for name in SERVICES:
            setattr(self, name, _Port(self, name, getattr(world, name)))

    @property
    def account(self) -> str:
        return str(self.sts.get_caller_identity()["Account"])  # type: ignore[attr-defined]

    def call(self, service: str, target: Any, method: str, arguments: dict[str, Any]) -> Any:
        """One request, from here to AWS and back."""
        if self.dead:
            raise Death
        self.calls += 1
        world = self.world
        call = Call(
            entry=self.entry, service=service, method=method, arguments=arguments, at=world.time.now
        )
        fault = world.faults.of(call)
        if fault is not None:
            self.met.append((fault, call))
            self._before(fault, call)
        world.time.pass_time(LATENCY)
        if self.dead:  # it was ended while it waited
            raise Death
        answer = _ask(target, method, arguments)
        if fault is not None:
            answer = self._after(fault, call, target, answer)
        if world.witness is not None:
            world.witness(call, answer)
        return answer

    def _before(self, fault: Kind, call: Call) -> None:
        match fault:
            case Kind.THROTTLE | Kind.BROKEN | Kind.DENIED:
                table = {Kind.THROTTLE: THROTTLED, Kind.BROKEN: BROKEN, Kind.DENIED: DENIED}[fault]
                code, status = table[call.service]
                raise aws_error(
                    code, f"the simulator says {code}", as_operation(call.method), status
                )
            case Kind.DEATH:
                self.dead = True
                raise Death
            case Kind.PAUSE:
                self.world.time.pass_time(self.world.faults.pause)
            case Kind.TIMEOUT | Kind.ECHO | Kind.DEATH_AFTER:
                pass

    def _after(self, fault: Kind, call: Call, target: Any, answer: Any) -> Any:
        match fault:
            case Kind.TIMEOUT:
                raise ReadTimeoutError(endpoint_url=f"https://{call.service}.sim")
            case Kind.ECHO:
                # The answer was lost; boto3 asks again, and gets what the second request gives.
                return _ask(target, call.method, call.arguments)
            case Kind.DEATH_AFTER:
                self.dead = True
                raise Death
        return answer


class _Port:
    """A boto3 client, as far as the world knows its service."""

    def __init__(self, process: Process, name: str, target: Any):
        self._process = process
        self._name = name
        self._target = target

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)

        def call(**arguments: Any) -> Any:
            return self._process.call(self._name, self._target, method, arguments)

        setattr(self, method, call)
        return call

    def get_paginator(self, method: str) -> _Paginator:
        if method not in PAGES:
            raise Impossible(f"{self._name}.{method} has no pages here")
        return _Paginator(getattr(self, method), *PAGES[method])


class _Paginator:
    def __init__(self, call: Any, argument: str, field: str, size: str):
        self._call, self._argument, self._field, self._size = call, argument, field, size

    def paginate(
        self, *, PaginationConfig: Mapping[str, int] | None = None, **arguments: Any
    ) -> Iterator[Mapping[str, Any]]:
        if PaginationConfig:
            if set(PaginationConfig) != {"PageSize"}:
                raise Impossible(f"PaginationConfig {PaginationConfig}")
            arguments[self._size] = PaginationConfig["PageSize"]
        while True:
            page = self._call(**arguments)
            yield page
            token = page.get(self._field)
            if not token:
                return
            arguments[self._argument] = token


@cache
def _accepts(kind: type, method: str) -> frozenset[str]:
    function = getattr(kind, method, None)
    if function is None:
        raise Impossible(f"the simulator has no {kind.__name__}.{method}")
    return frozenset(inspect.signature(function).parameters) - {"self"}


def _ask(target: Any, method: str, arguments: dict[str, Any]) -> Any:
    unknown = set(arguments) - _accepts(type(target), method)
    if unknown:
        raise Impossible(f"{type(target).__name__}.{method} doesn't know {sorted(unknown)}")
    try:
        return getattr(target, method)(**arguments)
    except ClientError as error:
        error.operation_name = as_operation(method)
        raise
    except ParamValidationError:
        raise
    except Exception as error:
        raise Impossible(f"{type(target).__name__}.{method}({arguments}): {error!r}") from error
