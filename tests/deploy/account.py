"""What stands in the account because of a deployment, as dicts that can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]

#: What each look at a function tells anew.
_CHANGING = {"LastModified", "RevisionId", "State", "StateReason", "LastUpdateStatus", "Version"}


def inventory(client: Client, *buckets: str) -> dict[str, dict[str, Any]]:
    """Everything, by kind and name. Kinds without anything are left out."""
    found: dict[str, dict[str, Any]] = {
        "functions": _functions(client("lambda")),
        "roles": _roles(client("iam")),
        "rules": _rules(client("events")),
        "APIs": _apis(client("apigateway")),
        "log groups": _log_groups(client("logs")),
        "queues": _queues(client("sqs")),
        "notifications": _notifications(client("s3"), *buckets),
    }
    return {kind: things for kind, things in found.items() if things}


def _functions(client: Any) -> dict[str, Any]:
    found = {}
    for function in client.list_functions()["Functions"]:
        name = function["FunctionName"]
        kept = {key: value for key, value in function.items() if key not in _CHANGING}
        kept["Permissions"] = _permissions(client, name)
        found[name] = kept
    return found


def _permissions(client: Any, name: str) -> list[tuple[str, str]]:
    """Who may invoke a function: which service, for what."""
    try:
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return []
    return sorted(
        (part["Principal"]["Service"], str(part.get("Condition", {}).get("ArnLike", "")))
        for part in policy["Statement"]
    )


def _roles(client: Any) -> dict[str, Any]:
    return {
        role["RoleName"]: {
            name: client.get_role_policy(RoleName=role["RoleName"], PolicyName=name)[
                "PolicyDocument"
            ]
            for name in client.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        }
        for role in client.list_roles()["Roles"]
    }


def _rules(client: Any) -> dict[str, Any]:
    return {
        rule["Name"]: {
            "when": rule.get("ScheduleExpression") or json.loads(rule["EventPattern"]),
            "state": rule["State"],
            "targets": [
                target["Arn"]
                for target in client.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            ],
        }
        for rule in client.list_rules()["Rules"]
    }


def _apis(client: Any) -> dict[str, Any]:
    return {
        api["id"]: {
            "stages": [
                stage["stageName"] for stage in client.get_stages(restApiId=api["id"])["item"]
            ],
            "routes": {
                f"{name} {resource['path']}": (
                    method["authorizationType"],
                    method.get("methodIntegration", {}).get("uri", ""),
                )
                for resource in client.get_resources(restApiId=api["id"], limit=500)["items"]
                for name, method in resource.get("resourceMethods", {}).items()
            },
        }
        for api in client.get_rest_apis()["items"]
    }


def _log_groups(client: Any) -> dict[str, Any]:
    groups = client.describe_log_groups()["logGroups"]
    return {group["logGroupName"]: group.get("retentionInDays") for group in groups}


def _queues(client: Any) -> dict[str, Any]:
    return {
        url: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        for url in client.list_queues().get("QueueUrls", [])
    }


def _notifications(client: Any, *buckets: str) -> dict[str, Any]:
    found = {}
    for bucket in buckets:
        asked = client.get_bucket_notification_configuration(Bucket=bucket)
        asked.pop("ResponseMetadata")
        for kind, rules in asked.items():
            for rule in rules or [{}]:
                # Without the id, which S3 gives.
                kept = {key: value for key, value in rule.items() if key != "Id"}
                found[f"{bucket} {kind} {json.dumps(kept, sort_keys=True)}"] = kept
    return found
