"""Which AWS errors mean what, in one place."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

#: Anything that AWS or the way to it can raise.
AwsError = (ClientError, BotoCoreError)

_NOT_FOUND = frozenset(
    (
        "404",
        "NoSuchKey",
        "NotFound",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "ClusterNotFoundException",
        "ServiceNotFoundException",
        "ServiceNotActiveException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "DashboardNotFoundError",
        "InvalidLaunchTemplateName.NotFoundException",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidInstanceID.NotFound",
        "InvalidSpotFleetRequestId.NotFound",
        "ParameterNotFound",
    )
)

#: Parts of the codes of errors that pass by themselves.
_TRY_AGAIN = ("Throttl", "LimitExceededException", "RequestLimitExceeded", "Unavailable", "Expired")


def code(error: Exception) -> str:
    """The error's code, "" if it has none."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def is_not_found(error: Exception) -> bool:
    """What was asked for doesn't exist: success for a deletion."""
    return code(error) in _NOT_FOUND


def is_refusal(error: ClientError) -> bool:
    """AWS understood the request and won't do it; asking again soon gives the same answer."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return 400 <= status < 500 and not any(word in code(error) for word in _TRY_AGAIN)
