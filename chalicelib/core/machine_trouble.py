"""Why machines don't come: what EC2 says in a fleet's history, or when it refuses a request.

EC2 has a handful of event names, and says what matters in free text. The patterns below are
error codes and phrases of EC2; the first that fits tells the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.ailment import FATAL, MACHINES, SLOW, WAIT, Ailment, FleetEvent, found
from chalicelib.core.config import RunConfig


@dataclass(frozen=True)
class _Rule:
    kind: str
    course: str
    pattern: str
    #: What it is, and what helps; `{types}` and `{price}` are the user's.
    sentence: str


_FILE = "correct the fleet file (or the account's settings) and run startCluster again"

_RULES = (
    _Rule(
        "fleet-quota",
        SLOW,
        r"MaxSpotFleetRequestCountExceeded",
        "the account has as many spot fleets as it may have. Cancel old ones in the EC2 console "
        "(Spot Requests), or ask AWS for more; then run startCluster again",
    ),
    _Rule(
        "quota",
        SLOW,
        r"spotInstanceCountLimitExceeded|MaxSpotInstanceCountExceeded|max spot instance count"
        r"|spot max instance count|VcpuLimitExceeded|vCPU limit|InstanceLimitExceeded",
        "the account may not run more machines of type {types}: its quota of vCPUs is used up. "
        "Ask for a higher quota (Service Quotas, Amazon EC2, 'Spot Instance Requests'), or wait "
        "until other machines of the account have ended; then run startCluster again",
    ),
    _Rule(
        "capacity",
        WAIT,
        r"InsufficientInstanceCapacity|no Spot capacity|capacity-not-available"
        r"|InsufficientCapacity|UnfulfillableCapacity|not have sufficient \S+ capacity",
        "AWS has no Spot machines of type {types} to give in the places asked for. They are "
        "waited for. More MACHINE_TYPEs or subnets in more zones help; ON_DEMAND_PERCENT allows "
        "machines at full price",
    ),
    _Rule(
        # EC2 gives a market price of -1 where it doesn't offer the type at all.
        "type",
        FATAL,
        r"market price \$-1|instance type \S+ is not supported|not supported in your requested"
        r"|InvalidInstanceType|Unsupported",
        "machines of type {types} are not offered in the zones of the subnets. Choose other "
        "MACHINE_TYPEs or subnets",
    ),
    _Rule(
        "price",
        WAIT,
        r"launchSpecUnusable|fleetProgressHalted|less than Spot market price|SpotMaxPriceTooLow"
        r"|price-too-low",
        "MACHINE_PRICE is {price}, and Spot machines of type {types} cost more now{market}. "
        "Machines come when the price falls. Raise MACHINE_PRICE or leave it out",
    ),
    _Rule(
        "addresses",
        WAIT,
        r"not enough free addresses|InsufficientFreeAddresses",
        "a subnet has no free addresses left. Machines come when some are free; give the fleet "
        "more or larger subnets",
    ),
    _Rule(
        "fleet-role",
        FATAL,
        r"iamFleetRoleInvalid|IamFleetRole|fleet role",
        "the role of the spot fleet (IamFleetRole) is missing or may not start machines. It has "
        f"to be the account's AmazonEC2SpotFleetTaggingRole: {_FILE}",
    ),
    _Rule(
        "image",
        FATAL,
        r"InvalidAMIID|image id '?\[?ami|AMI ID|not authorized for images|a machine image",
        "the machine image (ImageId) doesn't exist in this region, or is not shared with the "
        f"account. Leave ImageId out to use the current ECS image, or {_FILE}",
    ),
    _Rule(
        "template",
        FATAL,
        r"InvalidLaunchTemplate|launch template",
        "somebody deleted the run's launch template. Run startCluster again, which makes it anew",
    ),
    _Rule(
        "subnet",
        FATAL,
        r"InvalidSubnet|subnet ID '[^']*' does not exist|Subnet: \S+ cannot be used"
        r"|belong to different networks",
        f"a subnet doesn't exist in this region, or doesn't fit its zone or security group: {_FILE}",
    ),
    _Rule(
        "security-group",
        FATAL,
        r"InvalidGroup|InvalidSecurityGroup|security group '[^']*' does not exist",
        f"a security group doesn't exist in this region: {_FILE}",
    ),
    _Rule(
        "key",
        FATAL,
        r"InvalidKeyPair|key pair '[^']*' does not exist",
        "the SSH key (SSH_KEY_NAME, or KeyName in the fleet file) is not a key pair of this "
        "region. Correct it, or leave it out",
    ),
    _Rule(
        "profile",
        FATAL,
        r"IAM Instance Profile|iamInstanceProfile",
        f"the machines' instance profile (IamInstanceProfile) doesn't exist: {_FILE}",
    ),
    _Rule(
        "volume",
        FATAL,
        r"InvalidSnapshot|KMS|InvalidBlockDeviceMapping|VolumeLimitExceeded"
        r"|MaxIOPSLimitExceeded",
        "the machines' volume can't be made. Check EBS_VOL_SIZE, the account's default key for "
        "encryption, and its quota of gp3 storage; then run startCluster again",
    ),
    _Rule(
        "permission",
        FATAL,
        r"UnauthorizedOperation|AccessDenied|not authorized|AuthFailure|ServiceLinkedRole"
        r"|OptInRequired|PendingVerification",
        "the account, or the role of CellFleet's monitor, may not start machines. Give it the "
        "permission that EC2 names, then run startCluster again",
    ),
)
_GENERAL = _Rule(
    "configuration",
    FATAL,
    "",
    f"EC2 can't start machines as they are asked for. Check the subnets, groups and roles: {_FILE}",
)
#: Information of failed launches. The second only sums up what others say: told if none does.
_FAILED = ("launchSpecTemporarilyBlacklisted",)
_VAGUE = "allLaunchSpecsTemporarilyBlacklisted"


def machine_ailments(
    events: Iterable[FleetEvent], config: RunConfig, now: datetime
) -> tuple[Ailment, ...]:
    """The troubles that a fleet's history shows, one of each kind, the latest words of EC2."""
    clear: dict[str, Ailment] = {}
    vague: Ailment | None = None
    for event in sorted(events, key=lambda event: event.at):
        if event.type not in ("error", "information"):
            continue
        ailment = _recognise(f"{event.subtype} {event.text}", event.text, config, now)
        if ailment is not None:
            clear[ailment.kind] = ailment
        elif (event.subtype in _FAILED or event.type == "error") and (
            event.subtype != _VAGUE or vague is None
        ):
            vague = _ailment(_GENERAL, event.text, config, now)
    return tuple(clear.values()) or ((vague,) if vague else ())


def refused(said: str, config: RunConfig, now: datetime) -> Ailment:
    """The trouble behind an error that EC2 answered a request with: `CODE: message`."""
    return _recognise(said, said, config, now) or _ailment(_GENERAL, said, config, now)


def _recognise(text: str, said: str, config: RunConfig, now: datetime) -> Ailment | None:
    for rule in _RULES:
        if re.search(rule.pattern, text, re.IGNORECASE):
            return _ailment(rule, said, config, now)
    return None


def _ailment(rule: _Rule, said: str, config: RunConfig, now: datetime) -> Ailment:
    price = config.machine_price
    market = re.search(r"market price (\$\d[\d.]*\d)", said)
    sentence = rule.sentence.format(
        types=" or ".join(config.machine_type),
        price=f"${price:g} an hour" if price is not None else "not set",
        market=f" ({market[1]})" if market else "",
    )
    return found(rule.kind, MACHINES, rule.course, sentence, said=said, now=now)
