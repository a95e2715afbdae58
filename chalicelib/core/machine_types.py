"""The sizes of common EC2 machine types, derived from their names.

Amazon's general, compute and memory families follow a rule: the size gives the vCPUs, the
family the memory for each. What the rule doesn't cover is unknown here, and unchecked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

CPU_UNITS_PER_VCPU = 1024


@dataclass(frozen=True, order=True)
class MachineSize:
    """What a machine type offers: `vcpus`, and `memory_mib` as advertised."""

    vcpus: int
    memory_mib: int

    @property
    def cpu_units(self) -> int:
        """The CPU shares that ECS has to give, 1024 for each vCPU."""
        return self.vcpus * CPU_UNITS_PER_VCPU

    @property
    def usable_mib(self) -> int:
        """The most memory that ECS can ever register, in MiB.

        Linux keeps a 64-byte record for every 4 KiB page, one 64th of the memory; the rest
        of the kernel takes more (an 8192 MiB m4.large registers 7985 MiB).
        """
        return self.memory_mib * 63 // 64

    @property
    def comfortable_mib(self) -> int:
        """Beyond this (15/16), in MiB, little is left for the system and the ECS agent."""
        return self.memory_mib * 15 // 16


# GiB for each vCPU, by the family's letter, from generation 5 on.
_GIB_PER_VCPU = {"c": Fraction(2), "m": Fraction(4), "r": Fraction(8)}
_OLDER_GIB_PER_VCPU = {
    "m3": Fraction(15, 4), "m4": Fraction(4),
    "c3": Fraction(15, 8), "c4": Fraction(15, 8),
    "r3": Fraction(61, 8), "r4": Fraction(61, 8),
}  # fmt: skip
_BURSTABLE = {
    "nano": (2, 512), "micro": (2, 1024), "small": (2, 2048), "medium": (2, 4096),
    "large": (2, 8192), "xlarge": (4, 16384), "2xlarge": (8, 32768),
}  # fmt: skip
_EXCEPTIONS = {
    "c4.8xlarge": MachineSize(36, 60 * 1024),
    "c3.8xlarge": MachineSize(32, 60 * 1024),
    "t2.nano": MachineSize(1, 512),
    "t2.micro": MachineSize(1, 1024),
    "t2.small": MachineSize(1, 2048),
}

_NAME = re.compile(r"(?P<letter>[a-z]+)(?P<generation>\d+)(?P<options>[a-z-]*)\.(?P<size>.+)")
_XLARGE = re.compile(r"(\d*)xlarge")


def machine_size(machine_type: str) -> MachineSize | None:
    """The size of a machine type such as "m5.xlarge"; None where it isn't known."""
    if machine_type in _EXCEPTIONS:
        return _EXCEPTIONS[machine_type]
    name = _NAME.fullmatch(machine_type)
    if name is None:
        return None
    if name["letter"] == "t":
        burstable = _BURSTABLE.get(name["size"])
        return MachineSize(*burstable) if burstable else None
    ratio = _gib_per_vcpu(name["letter"], int(name["generation"]), name["options"])
    vcpus = _vcpus(name["size"])
    if ratio is None or vcpus is None:
        return None
    return MachineSize(vcpus, int(vcpus * ratio * 1024))


def _gib_per_vcpu(letter: str, generation: int, options: str) -> Fraction | None:
    if letter + str(generation) + options == "c5n":  # more memory than its family
        return None
    if 5 <= generation <= 8:
        return _GIB_PER_VCPU.get(letter)
    return None if options else _OLDER_GIB_PER_VCPU.get(f"{letter}{generation}")


def _vcpus(size: str) -> int | None:
    if size in ("medium", "large"):
        return 1 if size == "medium" else 2
    match = _XLARGE.fullmatch(size)
    return 4 * int(match[1] or 1) if match and len(match[1]) <= 3 else None


def is_arm(machine_type: str) -> bool:
    """Whether a type has Amazon's Arm processors, which can't run images made for x86."""
    family = machine_type.partition(".")[0]
    return family == "a1" or re.fullmatch(r"[a-z]+\d+g[a-z-]*", family) is not None
