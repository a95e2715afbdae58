"""What moto's CloudWatch lacks for our use: it forgets the tags of dashboards."""

from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend as Backend
from moto.cloudwatch.responses import CloudWatchResponse as Response

from local.patching import Patches


def install(patches: Patches) -> None:
    """Replace what differs."""
    patches.replace(Response, "put_dashboard", _put_dashboard)
    patches.replace(Backend, "delete_dashboards", _delete_dashboards)


def _put_dashboard(original: Callable[..., Any]) -> Callable[..., Any]:
    def put_dashboard(response: Response) -> Any:
        backend, name = response.cloudwatch_backend, response._get_param("DashboardName")
        is_new = backend.get_dashboard(name) is None
        answer = original(response)
        tags = response._get_param("Tags", [])
        if is_new and tags:  # AWS takes tags at the making only
            backend.tagger.tag_resource(backend.dashboards[name].arn, tags)
        return answer

    return put_dashboard


def _delete_dashboards(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_dashboards(backend: Backend, dashboards: list[str]) -> Any:
        arns = [backend.dashboards[name].arn for name in dashboards if name in backend.dashboards]
        answer = original(backend, dashboards)
        for arn in arns if answer is None else []:
            backend.tagger.delete_all_tags_for_resource(arn)
        return answer

    return delete_dashboards
