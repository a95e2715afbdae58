"""What moto's CloudFormation lacks for infra/account.yaml: a bucket's policy and protection, parts of
lists that a condition leaves out, roles whose permissions change, lists among parameters.

And one thing of S3's: conditions in a bucket's policy."""

import json
from collections.abc import Callable
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.common_models import CloudFormationModel
from moto.iam.models import Role
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.utilities.utils import get_partition

from local.patching import Patches


class BucketPolicy(CloudFormationModel):
    """AWS::S3::BucketPolicy. moto finds it among the subclasses of its model."""

    def __init__(self, bucket: str):
        self.bucket = bucket

    @property
    def physical_resource_id(self) -> str:
        return self.bucket

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003
        return False

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: Any,  # noqa: ARG003
    ) -> "BucketPolicy":
        properties = cloudformation_json["Properties"]
        policy = json.dumps(properties["PolicyDocument"]).encode()
        _s3(account_id, region_name).put_bucket_policy(properties["Bucket"], policy)
        return cls(properties["Bucket"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,  # noqa: ARG003
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "BucketPolicy":
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> None:
        name = cloudformation_json["Properties"]["Bucket"]
        _s3(account_id, region_name).delete_bucket_policy(name)


def install(patches: Patches) -> None:
    """Replace what differs."""
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
    patches.replace(FakeBucket, "get_permission", _get_permission)
    patches.replace(FakeBucket, "create_from_cloudformation_json", _create_bucket)
    patches.replace(Stack, "parameter_list", _parameter_list)
    patches.replace(parsing, "clean_json", _clean_json)
    patches.replace(Role, "put_policy", _put_policy)
    patches.replace(Role, "update_from_cloudformation_json", _update_role)


def _s3(account_id: str, region_name: str) -> S3Backend:
    backend: S3Backend = s3_backends[account_id][get_partition(region_name)]
    return backend


def _get_permission(original: Callable[..., Any]) -> Callable[..., Any]:
    """moto takes a statement with a condition for one that always holds: leave those out."""

    def get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
        kept = bucket.policy
        if kept is None:
            return original(bucket, action, resource)
        policy = json.loads(kept)
        found = policy.get("Statement", [])
        found = [found] if isinstance(found, dict) else found
        plain = [part for part in found if not part.get("Condition")]
        bucket.policy = json.dumps({**policy, "Statement": plain}).encode() if plain else None
        try:
            return original(bucket, action, resource)
        finally:
            bucket.policy = kept

    return get_permission


def _create_bucket(original: Callable[..., FakeBucket]) -> Any:
    def create(
        _cls: type[Any], /, name: str, template: Any, account_id: str, region: str, **rest: Any
    ) -> FakeBucket:
        bucket = original(name, template, account_id, region, **rest)
        properties = template.get("Properties", {})
        backend = _s3(account_id, region)
        if versioning := properties.get("VersioningConfiguration"):
            backend.put_bucket_versioning(name, versioning["Status"])
        if block := properties.get("PublicAccessBlockConfiguration"):
            backend.put_public_access_block(name, block)
        return bucket

    return classmethod(create)


def _parameter_list(original: property) -> property:
    def parameter_list(stack: Stack) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = original.__get__(stack)
        for one in found:
            if isinstance(one["ParameterValue"], list):
                one["ParameterValue"] = ",".join(one["ParameterValue"])
        return found

    return property(parameter_list)


def _clean_json(original: Callable[..., Any]) -> Callable[..., Any]:
    """Without the parts of a list that are AWS::NoValue."""

    def clean_json(resource_json: Any, resources_map: Any) -> Any:
        found = original(resource_json, resources_map)
        if isinstance(resource_json, list):
            return [part for part in found if part is not None]
        return found

    return clean_json


def _put_policy(original: Callable[..., None]) -> Callable[..., None]:
    """As JSON, where it comes from a template."""

    def put_policy(role: Role, name: str, policy: Any) -> None:
        original(role, name, policy if isinstance(policy, str) else json.dumps(policy))

    return put_policy


def _update_role(original: Callable[..., Role]) -> Any:
    def update(_cls: type[Any], /, **given: Any) -> Role:
        role = original(**given)
        for policy in given["cloudformation_json"]["Properties"].get("Policies", []):
            role.put_policy(policy["PolicyName"], policy["PolicyDocument"])
        return role

    return classmethod(update)
