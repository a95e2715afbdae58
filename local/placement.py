"""Where ECS would start a task, and which it would stop. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_EQUALS = re.compile(r"^attribute:([\w.\-/]+)\s*==\s*(['\"]?)([\w.\-/: ]*)\2$")
_CLUSTER = re.compile(r"^[^#\n]*\bECS_CLUSTER=[\"']?([A-Za-z0-9_-]+)", re.MULTILINE)
_ATTRIBUTES = re.compile(r"^[^#\n]*\bECS_INSTANCE_ATTRIBUTES=[\"']?(?=\{)", re.MULTILINE)
_SPOT_DRAINING = re.compile(r"^[^#\n]*\bECS_ENABLE_SPOT_INSTANCE_DRAINING=true", re.MULTILINE)


@dataclass(frozen=True)
class AgentSettings:
    """What an instance's user data tells the ECS agent."""

    cluster: str
    attributes: Mapping[str, str]
    spot_draining: bool


def agent_settings(user_data: str) -> AgentSettings | None:
    """Read the lines of `ecs.config` that user data writes; None if it names no cluster."""
    cluster = _CLUSTER.search(user_data)
    if cluster is None:
        return None
    attributes: dict[str, str] = {}
    start = _ATTRIBUTES.search(user_data)
    if start is not None:
        text = user_data[start.end() :].replace('\\"', '"')
        attributes, _ = json.JSONDecoder().raw_decode(text)
    return AgentSettings(
        cluster=cluster.group(1),
        attributes=attributes,
        spot_draining=_SPOT_DRAINING.search(user_data) is not None,
    )


@dataclass(frozen=True)
class Needs:
    """CPU shares (1,024 a core) and memory in MiB, of a task or of a machine."""

    cpu: int
    memory: int

    def fits(self, other: "Needs") -> bool:
        """Whether `other` has room for this."""
        return self.cpu <= other.cpu and self.memory <= other.memory

    def __sub__(self, other: "Needs") -> "Needs":
        return Needs(self.cpu - other.cpu, self.memory - other.memory)


def satisfies(attributes: Mapping[str, str], constraints: Iterable[Mapping[str, str]]) -> bool:
    """Whether a machine meets every `memberOf` constraint.

    Understood: `attribute:NAME == VALUE`, joined by `and`. Raises ValueError for more.
    """
    for constraint in constraints:
        if constraint["type"] != "memberOf":
            raise ValueError(f"placement constraint {constraint['type']} is not emulated")
        for clause in re.split(r"\s+and\s+", constraint["expression"].strip()):
            match = _EQUALS.match(clause)
            if match is None:
                raise ValueError(
                    f"placement expression {clause!r} is not emulated: "
                    "expected attribute:NAME == VALUE"
                )
            if attributes.get(match.group(1)) != match.group(3):
                return False
    return True


@dataclass(frozen=True)
class Place:
    """A machine that a task could be started on; `tasks`: how many of its service run there."""

    machine: str
    free: Needs
    tasks: int


def choose(places: Iterable[Place], needs: Needs) -> str | None:
    """The machine for one more task, spread by instance; None if there is no room anywhere."""
    fitting = [place for place in places if needs.fits(place.free)]
    if not fitting:
        return None
    return min(fitting, key=lambda place: (place.tasks, place.machine)).machine


@dataclass(frozen=True)
class Candidate:
    """A running task that could be stopped; `order`: when it was started."""

    task: str
    machine: str
    protected: bool
    order: int


def victims(candidates: Sequence[Candidate], count: int) -> list[str]:
    """The tasks to stop when there are `count` too many: never a protected one; from the
    machines with the most tasks, newest first."""
    left = [candidate for candidate in candidates if not candidate.protected]
    load: dict[str, int] = {}
    for candidate in candidates:
        load[candidate.machine] = load.get(candidate.machine, 0) + 1
    chosen: list[str] = []
    while left and len(chosen) < count:
        victim = max(left, key=lambda candidate: (load[candidate.machine], candidate.order))
        left.remove(victim)
        load[victim.machine] -= 1
        chosen.append(victim.task)
    return chosen
