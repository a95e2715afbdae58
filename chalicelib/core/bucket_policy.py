"""What a bucket's policy must say, so that CloudWatch may write exported logs into it.

The statements are ours by their names (Sid): others in the same policy are never touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.core import keys

Policy = Mapping[str, Any]

_VERSION = "2012-10-17"
ACL, WRITE = "CellFleetLogExportAcl", "CellFleetLogExport"
OURS = (ACL, WRITE)


def export_statements(
    bucket: str, *, region: str, account: str, partition: str = "aws"
) -> list[dict[str, Any]]:
    """For exports of this account's log groups in this region, below the prefix that they go to."""
    where = f"arn:{partition}:s3:::{bucket}"
    groups = f"arn:{partition}:logs:{region}:{account}:log-group:*"
    return [
        {
            "Sid": name,
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{region}.amazonaws.com"},
            "Action": action,
            "Resource": resource,
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": groups},
            },
        }
        for name, action, resource in (
            (ACL, "s3:GetBucketAcl", where),
            (WRITE, "s3:PutObject", f"{where}/{keys.exported_logs('*')}"),
        )
    ]


def with_statements(policy: Policy | None, ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The policy with these statements of ours, in place of any of the same names."""
    found = dict(policy or {"Version": _VERSION})
    names = [one["Sid"] for one in ours]
    rest = [one for one in statements(policy) if one.get("Sid") not in names]
    return {**found, "Statement": [*rest, *ours]}


def without_ours(policy: Policy | None) -> dict[str, Any] | None:
    """The policy without our statements; None if nothing else is in it."""
    rest = [one for one in statements(policy) if one.get("Sid") not in OURS]
    return {**(policy or {}), "Statement": rest} if rest else None


def statements(policy: Policy | None) -> list[Mapping[str, Any]]:
    """IAM takes one statement for a list of one."""
    found = (policy or {}).get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def same(one: Policy | None, other: Policy | None) -> bool:
    """Whether two policies say the same in the same words; the order counts for nothing."""

    def comparable(policy: Policy | None) -> list[str]:
        return sorted(json.dumps(part, sort_keys=True) for part in statements(policy))

    return comparable(one) == comparable(other)


def grants_for_other_accounts(
    bucket: str, *, roles: Sequence[str], write: bool, partition: str = "aws"
) -> dict[str, Any]:
    """What the owner of a bucket in another account has to add to its policy for our roles."""
    where = f"arn:{partition}:s3:::{bucket}"
    objects = ["s3:GetObject"]
    if write:
        objects += [
            "s3:PutObject",
            "s3:PutObjectAcl",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
        ]
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Sid": "CellFleetList",
                "Effect": "Allow",
                "Principal": {"AWS": list(roles)},
                "Action": "s3:ListBucket",
                "Resource": where,
            },
            {
                "Sid": "CellFleetObjects",
                "Effect": "Allow",
                "Principal": {"AWS": list(roles)},
                "Action": objects,
                "Resource": f"{where}/*",
            },
        ],
    }
