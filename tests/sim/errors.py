"""AWS's errors, as botocore raises them."""

from __future__ import annotations

from botocore.exceptions import ClientError

#: What each service answers when it is asked too much, is broken, or doesn't allow it.
THROTTLED = {
    "s3": ("SlowDown", 503),
    "sqs": ("RequestThrottled", 403),
    "ecs": ("ThrottlingException", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "cloudwatch": ("Throttling", 400),
    "logs": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "sts": ("Throttling", 400),
    "sns": ("Throttled", 429),
    "tagging": ("ThrottledException", 400),
}
BROKEN = {
    "s3": ("InternalError", 500),
    "sqs": ("InternalFailure", 500),
    "ecs": ("ServerException", 500),
    "ec2": ("InternalError", 500),
    "cloudwatch": ("InternalFailure", 500),
    "logs": ("ServiceUnavailableException", 500),
    "ssm": ("InternalServerError", 500),
    "sts": ("InternalFailure", 500),
    "sns": ("InternalError", 500),
    "tagging": ("InternalServiceException", 500),
}
DENIED = {
    "s3": ("AccessDenied", 403),
    "sqs": ("AccessDenied", 403),
    "ecs": ("AccessDeniedException", 400),
    "ec2": ("UnauthorizedOperation", 403),
    "cloudwatch": ("AccessDenied", 403),
    "logs": ("AccessDeniedException", 400),
    "ssm": ("AccessDeniedException", 400),
    "sts": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "tagging": ("AccessDeniedException", 400),
}


class Impossible(BaseException):
    """The control plane asked for what AWS doesn't have: a wrong name, argument or value.

    Not an Exception: nobody may catch it and go on.
    """


class Death(BaseException):
    """The process is gone; nothing of it does anything any more."""


def aws_error(code: str, message: str, operation: str = "", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )


def as_operation(method: str) -> str:
    """`describe_instances` is DescribeInstances."""
    return "".join(part.capitalize() for part in method.split("_"))
