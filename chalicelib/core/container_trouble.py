"""Why containers don't work on machines that are there: what ECS says of tasks that ended, and
of tasks that it can't place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.ailment import (
    CONTAINERS,
    FATAL,
    SLOW,
    WAIT,
    Ailment,
    StoppedTask,
    found,
)
from chalicelib.core.config import RunConfig
from chalicelib.core.observation import ServiceView

#: Ends that were asked for, or that a machine's end brought about.
_AS_MEANT = (
    "ServiceSchedulerInitiated",
    "UserInitiated",
    "SpotInterruption",
    "TerminationNotice",
    "InfrastructureHealth",
)
_MACHINE_ENDED = re.compile(r"^Host EC2\b")
#: 128 + the signal: killed (for its memory, if nobody else did it), and asked to end.
_KILLED, _ASKED_TO_END = 137, 143
#: Containers that have run for so long since the last crash are in no loop.
STEADY_AFTER = timedelta(minutes=10)
#: So many containers that ended badly make a loop.
_LOOP = 2
#: So many of them, or as many as run, mean that it is so on every machine.
_EVERYWHERE = 50
#: Troubles of containers that may be seen running, between two crashes.
WHILE_RUNNING = frozenset(("crash", "memory"))
#: So many of a service's events, newest first, are about the present.
_LATEST = 10

_STOP = "stop the run, correct {key}, and submit the jobs again"


@dataclass(frozen=True)
class _Rule:
    kind: str
    course: str
    pattern: str
    #: What it is, and what helps; `{image}` and `{logs}` are filled in.
    sentence: str


_RULES = (
    _Rule(
        "pull-limit",
        SLOW,
        r"toomanyrequests|pull rate limit",
        "the registry of the worker image {image} refuses to hand it out so often. It is tried "
        "again; keep a copy of the image in the account's own registry (ECR)",
    ),
    _Rule(
        "disk",
        FATAL,
        r"no space left on device",
        f"the machines' disk is too small for the worker image: {_STOP.format(key='EBS_VOL_SIZE')}",
    ),
    _Rule(
        "image-access",
        FATAL,
        r"CannotPull.*(timeout|timed out|request canceled|context canceled|dial tcp|no route"
        r"|connection re|deadline exceeded)",
        "machines can't reach the registry of the worker image {image}. Their subnets need a way "
        "to the internet: a public address (ASSIGN_IP), a NAT gateway or VPC endpoints",
    ),
    _Rule(
        "worker-image",
        FATAL,
        r"CannotPull|manifest unknown|pull access denied",
        "the worker image {image} can't be fetched: it doesn't exist, or the machines may not read "
        "it. Give the execution role access and run startCluster again, or "
        + _STOP.format(key="DOCKERHUB_TAG"),
    ),
    _Rule(
        "logs",
        FATAL,
        r"logging driver|logger args|log stream",
        "containers can't write to the log group {logs}: it is missing, or the execution role "
        "lacks logs:CreateLogStream and logs:PutLogEvents. Give them, then run startCluster again",
    ),
    _Rule(
        "task-role",
        FATAL,
        r"unable to assume the role|registry auth|unable to pull secrets",
        "ECS can't use the task's roles (execution role or task role): they are missing, or don't "
        "trust ecs-tasks.amazonaws.com. Correct them, then run startCluster again",
    ),
    _Rule(
        "start",
        FATAL,
        r"Cannot(Start|Create)Container|ResourceInitializationError|TaskFailedToStart",
        "containers can't be started on the machines",
    ),
)


def container_ailments(
    tasks: Sequence[StoppedTask],
    service: ServiceView | None,
    config: RunConfig,
    image: str,
    now: datetime,
) -> tuple[Ailment, ...]:
    """The troubles of containers of this image, one of each kind.

    To be asked only where containers are missing: a full machine has no room for another, either.
    """
    troubles: dict[str, Ailment] = {}
    crashed: list[StoppedTask] = []
    for task in sorted(tasks, key=lambda task: task.at):
        text = f"{task.code} {task.reason} {task.container_reason}"
        rule = next((r for r in _RULES if re.search(r.pattern, text, re.IGNORECASE)), None)
        if rule is not None:
            sentence = rule.sentence.format(image=image, logs=config.log_group_name)
            said = task.container_reason or task.reason
            troubles[rule.kind] = found(
                rule.kind, CONTAINERS, rule.course, sentence, said=said, now=now
            )
        elif _crashed(task):
            crashed.append(task)
    others = (_crash_loop(crashed, service, config, now), _misfit(service, config, now))
    return (*troubles.values(), *(ailment for ailment in others if ailment is not None))


def not_joined(config: RunConfig, now: datetime) -> Ailment:
    """Machines have run for long, no container is on them, and nothing else says why."""
    sentence = (
        "machines run, but no container starts on them, as if they hadn't joined the cluster "
        f"{config.ecs_cluster}. Their image has to be an ECS image, their instance profile needs "
        "AmazonEC2ContainerServiceforEC2Role, and their subnets a way to ECS"
    )
    return found("join", CONTAINERS, SLOW, sentence, now=now)


def _crashed(task: StoppedTask) -> bool:
    if task.code in _AS_MEANT or _MACHINE_ENDED.search(task.reason):
        return False
    return _out_of_memory(task) or task.exit_code not in (None, 0, _ASKED_TO_END)


def _out_of_memory(task: StoppedTask) -> bool:
    return task.exit_code == _KILLED or "OutOfMemory" in task.container_reason


def _crash_loop(
    crashed: Sequence[StoppedTask],
    service: ServiceView | None,
    config: RunConfig,
    now: datetime,
) -> Ailment | None:
    if len(crashed) < _LOOP:
        return None
    last, times = crashed[-1], len(crashed)
    if service is not None and service.running and now - last.at > STEADY_AFTER:
        return None
    # A loop on a few of many machines leaves the others at work.
    everywhere = times >= min(service.running if service is not None else 0, _EVERYWHERE)
    course = SLOW if everywhere else WAIT
    if _out_of_memory(last):
        sentence = (
            f"containers use more than their MEMORY of {config.memory} MiB and are killed "
            f"({times} of late). Give them more, or run fewer copies: DOCKER_CORES is "
            f"{config.docker_cores}"
        )
        return found("memory", CONTAINERS, course, sentence, said=last.container_reason, now=now)
    sentence = (
        f"containers end by themselves soon after they start ({times} of late, the last with "
        f"exit code {last.exit_code}). Their last words are in the log group "
        f"{config.log_group_name}_perInstance"
    )
    return found("crash", CONTAINERS, course, sentence, said=last.container_reason, now=now)


def _misfit(service: ServiceView | None, config: RunConfig, now: datetime) -> Ailment | None:
    """ECS can't place containers for want of memory or processor, though machines are there."""
    for _at, text in service.events[:_LATEST] if service is not None else ():
        match = re.search(r"insufficient (memory|CPU)", text, re.IGNORECASE)
        if match is None:
            continue
        memory = match[1].lower() == "memory"
        key, value = (
            ("MEMORY", f"{config.memory} MiB")
            if memory
            else ("CPU_SHARES", f"{config.cpu_shares} units")
        )
        some = service is not None and service.running > 0
        what = (
            f"not all of the {config.tasks_per_machine} containers of a machine find room on it"
            if some
            else f"no container finds room on a machine of type {' or '.join(config.machine_type)}"
        )
        sentence = (
            f"{what}: {key} is {value}, and less is free. Choose larger machines; or "
            + _STOP.format(key=f"{key} or TASKS_PER_MACHINE")
        )
        return found("fit", CONTAINERS, WAIT if some else FATAL, sentence, now=now)
    return None
