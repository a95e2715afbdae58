"""What moto's CloudWatch lacks for our use: it forgets the tags of dashboards, and gives all alarms
on one page."""

from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend as Backend
from moto.cloudwatch.responses import CloudWatchResponse as Response

from local.patching import Patches

#: Alarms on a page, if the caller doesn't say.
_PAGE = 50


def install(patches: Patches) -> None:
    """Replace what differs."""
    patches.replace(Response, "put_dashboard", _put_dashboard)
    patches.replace(Backend, "delete_dashboards", _delete_dashboards)
    patches.replace(Response, "describe_alarms", _describe_alarms)


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


def _describe_alarms(original: Callable[..., Any]) -> Callable[..., Any]:
    def describe_alarms(response: Response) -> Any:
        answer = original(response)
        size = int(response._get_param("MaxRecords") or _PAGE)
        start = int(response._get_param("NextToken") or 0)
        found = answer.result["MetricAlarms"]
        answer.result["MetricAlarms"] = found[start : start + size]
        if len(found) > start + size:
            answer.result["NextToken"] = str(start + size)
        return answer

    return describe_alarms
