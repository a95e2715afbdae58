"""Rules between configuration keys: what can't work together, and what is worth a word.

Each rule names the keys that it reads, so that it is left out when one of them is wrong
already: a user sees each mistake once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from chalicelib.core.config_model import PLACEHOLDERS, RunConfig
from chalicelib.core.machine_types import MachineSize, is_arm, machine_size
from chalicelib.core.upload_flags import parse_upload_flags
from chalicelib.errors import Problem

MANY_RETRIES = 3
#: Less memory than this for each copy, in MB, is more likely meant as GB.
LITTLE_MEMORY_MB = 500
LONG_STAGGER_SECONDS = 3600

Finding = Problem | str
Rule = Callable[[RunConfig], Iterator[Finding]]
#: The fields that a rule reads, and the rule; its docstring is for the reference page.
RULES: list[tuple[tuple[str, ...], Rule]] = []


def check_together(
    config: RunConfig, wrong: Collection[str] = ()
) -> tuple[list[Problem], list[str]]:
    """Problems and warnings, leaving out the rules that read a field in `wrong`."""
    findings = [
        finding
        for reads, rule in RULES
        if not set(reads).intersection(wrong)
        for finding in rule(config)
    ]
    problems = [finding for finding in findings if isinstance(finding, Problem)]
    return problems, [finding for finding in findings if isinstance(finding, str)]


def _rule(*reads: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.append((reads, rule))
        return rule

    return register


@_rule("ebs_vol_size", "tasks_per_machine")
def _disk(config: RunConfig) -> Iterator[Finding]:
    """EBS_VOL_SIZE / TASKS_PER_MACHINE - 2 GB must leave each container some disk."""
    if config.container_disk_gb <= 0:
        tasks = config.tasks_per_machine
        yield Problem(
            where="EBS_VOL_SIZE",
            found=str(config.ebs_vol_size),
            expected=f"must be more than {2 * tasks} GB for TASKS_PER_MACHINE {tasks}",
            hint="each container gets EBS_VOL_SIZE / TASKS_PER_MACHINE - 2 GB",
        )


@_rule("sqs_queue_name", "sqs_dead_letter_queue", "app_name")
def _queues(config: RunConfig) -> Iterator[Finding]:
    """The dead-letter queue must be another queue than the job queue."""
    if config.sqs_queue_name == config.sqs_dead_letter_queue:
        yield Problem(
            where="SQS_DEAD_LETTER_QUEUE",
            found=repr(config.sqs_dead_letter_queue),
            expected="must be another queue than SQS_QUEUE_NAME",
        )


@_rule("check_if_done_bool", "expected_number_files")
def _done_check(config: RunConfig) -> Iterator[Finding]:
    """CHECK_IF_DONE_BOOL needs EXPECTED_NUMBER_FILES of at least 1."""
    if config.check_if_done_bool and config.expected_number_files == 0:
        yield Problem(
            where="EXPECTED_NUMBER_FILES",
            found="0",
            expected="must be at least 1 while CHECK_IF_DONE_BOOL is 'True'",
            hint="with 0, every job counts as done before it ran",
        )


def _containers(count: int) -> str:
    return "1 container" if count == 1 else f"{count} containers"


def _known_sizes(config: RunConfig) -> dict[str, MachineSize]:
    sizes = {name: machine_size(name) for name in config.machine_type}
    return {name: size for name, size in sizes.items() if size is not None}


@_rule("machine_type", "tasks_per_machine", "cpu_shares", "docker_cores")
def _processor(config: RunConfig) -> Iterator[Finding]:
    """All containers' CPU_SHARES must fit on each machine type whose size is known."""
    for name, size in _known_sizes(config).items():
        most = size.cpu_units // config.tasks_per_machine
        if config.cpu_shares > most:
            yield Problem(
                where="CPU_SHARES",
                found=str(config.cpu_shares),
                expected=f"must be at most {most} for {_containers(config.tasks_per_machine)} on "
                f"{name}, which has {size.vcpus} vCPU of 1024 units",
                hint="otherwise ECS never places them all; choose a larger MACHINE_TYPE or fewer "
                "TASKS_PER_MACHINE",
            )


@_rule("machine_type", "tasks_per_machine", "memory")
def _memory(config: RunConfig) -> Iterator[Finding]:
    """All containers' MEMORY must fit there too; a warning where little is left."""
    tasks = config.tasks_per_machine
    for name, size in _known_sizes(config).items():
        if config.memory * tasks > size.usable_mib:
            yield Problem(
                where="MEMORY",
                found=str(config.memory),
                expected=f"must be at most {size.usable_mib // tasks} MB for {_containers(tasks)} "
                f"on {name}, which has {size.memory_mib} MB",
                hint=f"{size.comfortable_mib // tasks} leaves room for the system; otherwise ECS "
                "never places them all",
            )
        elif config.memory * tasks > size.comfortable_mib:
            yield (
                f"MEMORY {config.memory} for {_containers(tasks)} takes nearly all of {name}'s "
                f"{size.memory_mib} MB, and ECS may not place them all; "
                f"{size.comfortable_mib // tasks} is safe."
            )


@_rule("machine_type")
def _machines(config: RunConfig) -> Iterator[Finding]:
    """A warning for machine types of different sizes, and for Arm processors."""
    sizes = _known_sizes(config)
    if len(set(sizes.values())) > 1:
        listed = ", ".join(
            f"{name} ({size.vcpus} vCPU, {size.memory_mib / 1024:g} GiB)"
            for name, size in sizes.items()
        )
        yield (
            f"MACHINE_TYPE holds sizes that differ: {listed}. Each machine runs "
            "TASKS_PER_MACHINE containers, so what the larger ones have more is paid for and idle."
        )
    arm = [name for name in config.machine_type if is_arm(name)]
    if arm:
        yield (
            f"MACHINE_TYPE {', '.join(arm)}: an Arm processor, which can't run CellProfiler's "
            "published images; they need x86 machines such as m5.xlarge."
        )


@_rule("docker_cores", "cpu_shares")
def _cores(config: RunConfig) -> Iterator[Finding]:
    """A warning where copies of CellProfiler share a vCPU."""
    if config.docker_cores * 1024 > config.cpu_shares:
        yield (
            f"CPU_SHARES {config.cpu_shares} is {config.cpu_shares / 1024:g} vCPU for "
            f"DOCKER_CORES {config.docker_cores} copies of CellProfiler, which will share them; "
            f"{config.docker_cores * 1024} gives each its own."
        )


@_rule("docker_cores", "memory")
def _memory_per_copy(config: RunConfig) -> Iterator[Finding]:
    """A warning where a copy of CellProfiler has less than 500 MB."""
    if config.memory / config.docker_cores < LITTLE_MEMORY_MB:
        yield (
            f"MEMORY {config.memory} MB is {config.memory // config.docker_cores} MB for each of "
            f"{config.docker_cores} copies of CellProfiler, which usually need {LITTLE_MEMORY_MB} "
            "and more. Was it meant in GB?"
        )


@_rule("docker_cores", "seconds_to_start")
def _stagger(config: RunConfig) -> Iterator[Finding]:
    """A warning where the last copy of a container begins more than an hour after the first."""
    wait = config.seconds_to_start * (config.docker_cores - 1)
    if wait > LONG_STAGGER_SECONDS:
        yield (
            f"SECONDS_TO_START {config.seconds_to_start} lets the last of DOCKER_CORES "
            f"{config.docker_cores} copies begin {wait // 60} minutes after the first."
        )


@_rule("notify_topic", "aws_region")
def _topic(config: RunConfig) -> Iterator[Finding]:
    """NOTIFY_TOPIC must be a topic in AWS_REGION."""
    if config.notify_topic and config.notify_topic.split(":")[3] != config.aws_region:
        yield Problem(
            where="NOTIFY_TOPIC",
            found=repr(config.notify_topic),
            expected=f"must be a topic in AWS_REGION {config.aws_region!r}",
        )


@_rule("always_continue", "job_retries")
def _always_continue(config: RunConfig) -> Iterator[Finding]:
    """A warning for ALWAYS_CONTINUE with more than 3 JOB_RETRIES."""
    if config.always_continue and config.job_retries > MANY_RETRIES:
        yield (
            f"ALWAYS_CONTINUE with JOB_RETRIES {config.job_retries}: jobs that can't get better "
            f"are run that often; {MANY_RETRIES} or fewer is advised."
        )


@_rule("upload_flags")
def _upload_flags(config: RunConfig) -> Iterator[Finding]:
    """A warning for flags that an upload has no use for."""
    ignored = parse_upload_flags(config.upload_flags).ignored
    if ignored:
        yield f"UPLOAD_FLAGS: {', '.join(ignored)} has no effect on an upload and is ignored."


@_rule("use_plugins", "update_plugins", "plugins_commit", "install_requirements", "requirements")
def _plugins(config: RunConfig) -> Iterator[Finding]:
    """A warning for settings of plugins that aren't used."""
    given = [
        name.upper()
        for name in ("update_plugins", "plugins_commit", "install_requirements", "requirements")
        if getattr(config, name)
    ]
    if given and not config.use_plugins:
        yield f"{', '.join(given)} has no effect while USE_PLUGINS is 'False'."


@_rule("aws_bucket", "source_bucket", "workspace_bucket", "destination_bucket", "ssh_key_name")
def _placeholders(config: RunConfig) -> Iterator[Finding]:
    """A warning for placeholders of DCP's sample that are still there."""
    for name in ("aws_bucket", "source_bucket", "workspace_bucket", "destination_bucket"):
        value = getattr(config, name)
        if value in PLACEHOLDERS:
            yield f"{name.upper()} {value!r} looks like a placeholder: write your bucket's name."
    if config.ssh_key_name in PLACEHOLDERS:
        yield f"SSH_KEY_NAME {config.ssh_key_name!r} is a placeholder: nobody can log in."
