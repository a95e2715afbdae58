"""What moto lacks for a deployment by Chalice: API documents, bucket filters, and Lambdas that run.

For tests of the deployment only: nothing else needs API Gateway or Lambda.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from moto.apigateway.models import APIGatewayBackend
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.s3.responses import S3Response

from local.moto_s3 import Deliver
from local.patching import Patches

_FILTER_NAME = re.compile(rb"<Name>(Prefix|Suffix)</Name>")
_INTEGRATION = "x-amazon-apigateway-integration"
#: What `_invoke_lambda` gives back: answer, whether it failed, log.
_TAKEN = ("", False, "")


def install(patches: Patches, deliver: Deliver) -> None:
    """Take what Chalice sends; hand every invocation of a Lambda function to `deliver`."""
    patches.replace(S3Response, "_notification_config_from_body", _in_any_case)
    patches.replace(APIGatewayBackend, "import_rest_api", _importing)
    patches.replace(APIGatewayBackend, "put_rest_api", _replacing)
    patches.replace(LambdaBackend, "put_function_event_invoke_config", _once)

    def invoke(function: Any, event: Any = None) -> tuple[str, bool, str]:
        given = json.loads(event) if isinstance(event, str) else event
        deliver(function.function_arn, given or {})
        return _TAKEN

    patches.replace(LambdaFunction, "_invoke_lambda", lambda _: invoke)


def _in_any_case(original: Callable[..., Any]) -> Callable[..., Any]:
    """S3 takes `Prefix` as well as `prefix`."""

    def read(response: Any) -> Any:
        body = response.body if isinstance(response.body, bytes) else response.body.encode()
        response.body = _FILTER_NAME.sub(lambda m: b"<Name>%s</Name>" % m[1].lower(), body)
        return original(response)

    return read


def _importing(original: Callable[..., Any]) -> Callable[..., Any]:
    def import_rest_api(backend: Any, api_doc: dict[str, Any], fail_on_warnings: bool) -> Any:
        return original(backend, _as_openapi(api_doc), fail_on_warnings)

    return import_rest_api


def _replacing(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_rest_api(
        backend: Any, function_id: str, api_doc: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        document = _as_openapi(api_doc)
        api = original(backend, function_id, document, *args, **kwargs)
        for resource in api.resources.values():
            for name, method in resource.resource_methods.items():
                asked = document["paths"].get(resource.get_path(), {}).get(name.lower(), {})
                if asked.get("security") == [{"sigv4": []}]:
                    method.authorization_type = "AWS_IAM"
        return api

    return put_rest_api


def _as_openapi(document: dict[str, Any]) -> dict[str, Any]:
    """moto reads OpenAPI 3 only, and wants said what API Gateway does without."""
    read: dict[str, Any] = {**document, "openapi": "3.0.1"}
    read.pop("swagger", None)
    read["info"] = {"description": "", **read["info"]}
    for methods in read["paths"].values():
        for method in methods.values():
            integration = method.get(_INTEGRATION)
            if integration is not None:
                integration.setdefault("uri", "")
                integration.setdefault("httpMethod", "POST")
    return read


def _once(original: Callable[..., Any]) -> Callable[..., Any]:
    """A second configuration takes the place of the first."""

    def put(backend: Any, function_name: str, config: dict[str, Any]) -> Any:
        backend.get_function(function_name).event_invoke_config = []
        return original(backend, function_name, config)

    return put
