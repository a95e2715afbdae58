"""Requests to the deployed HTTP API, signed as IAM wants them."""

from __future__ import annotations

from collections.abc import Mapping

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest


def signed(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, region: str
) -> dict[str, str]:
    """The headers with a signature by whoever the environment says we are; as they are where it
    names nobody (the embedded AWS doesn't ask)."""
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        return dict(headers)
    request = AWSRequest(method, url, dict(headers), body)
    SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
    return dict(request.headers.items())
