"""Dashboards keep their tags for as long as they live, as on AWS."""

from typing import Any

from local.aws import EmbeddedAWS


def tags(cloudwatch: Any, name: str) -> list[dict[str, str]]:
    arn = cloudwatch.get_dashboard(DashboardName=name)["DashboardArn"]
    found: list[dict[str, str]] = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
    return found


def test_a_dashboard_keeps_the_tags_of_its_making(aws: EmbeddedAWS) -> None:
    cloudwatch = aws.client("cloudwatch")
    mine, yours = [{"Key": "owner", "Value": "me"}], [{"Key": "owner", "Value": "you"}]
    cloudwatch.put_dashboard(DashboardName="Tagged", DashboardBody="{}", Tags=mine)
    cloudwatch.put_dashboard(DashboardName="Tagged", DashboardBody="{}", Tags=yours)
    cloudwatch.put_dashboard(DashboardName="Plain", DashboardBody="{}")
    assert tags(cloudwatch, "Tagged") == mine
    assert tags(cloudwatch, "Plain") == []
    cloudwatch.delete_dashboards(DashboardNames=["Tagged"])
    cloudwatch.put_dashboard(DashboardName="Tagged", DashboardBody="{}")
    assert tags(cloudwatch, "Tagged") == []
    cloudwatch.close()
