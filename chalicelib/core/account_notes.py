"""What the user should know about a prepared account. Pure."""

from __future__ import annotations

import json

from chalicelib.core.account import AccountView, names
from chalicelib.core.bucket_policy import grants_for_other_accounts


def notes(seen: AccountView, bucket: str) -> tuple[str, ...]:
    """Sentences: what CellFleet leaves alone and others should look at."""
    return (*_about_the_bucket(seen, bucket), *_about_others(seen))


def _about_the_bucket(seen: AccountView, bucket: str) -> list[str]:
    view = seen.buckets.get(bucket)
    made = seen.stack is not None and seen.stack.parameters.get("MakeBucket") == "true"
    if view is None or view.state != "own" or made:
        return []
    told = []
    if view.versioned is False:
        told.append(
            f"the bucket {bucket} keeps no versions: a job file that is written over while it is "
            "read is refused, and what is deleted is gone"
        )
    if view.public_blocked is False:
        told.append(
            f"the bucket {bucket} doesn't block public access: whoever may write a job file there "
            "can start machines in this account"
        )
    if not _only_tls(view.policy):
        told.append(f"the policy of the bucket {bucket} takes connections that aren't encrypted")
    return told


def _only_tls(policy: object) -> bool:
    return "aws:SecureTransport" in json.dumps(policy)


def _about_others(seen: AccountView) -> list[str]:
    parameters = seen.stack.parameters if seen.stack else {}
    outputs = seen.stack.outputs if seen.stack else {}
    told = []
    write = names(parameters.get("Buckets", ""))
    for name in (*write, *names(parameters.get("ReadBuckets", ""))):
        view = seen.buckets.get(name)
        if view is None or view.state == "own":
            continue
        if view.state == "absent":
            told.append(f"the bucket {name} doesn't exist")
            continue
        if not outputs.get("TaskRole"):
            continue
        policy = grants_for_other_accounts(
            name, roles=[outputs["TaskRole"]], write=name in write, partition=seen.partition
        )
        told.append(
            f"the bucket {name} is another account's, or you may not look at it. Its owner has to "
            f"add this to its policy, unless it is public: {json.dumps(policy)}"
        )
    if parameters.get("KmsKeys"):
        told.append(
            "the policies of the KMS keys must let this account's IAM policies decide, and the "
            "Lambdas' roles need kms:Decrypt and kms:GenerateDataKey for the deployment bucket's"
        )
    return told
