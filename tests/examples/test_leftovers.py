import boto3

from examples.leftovers import find_leftovers, leftover_table


def test_an_empty_account_has_none(session: boto3.Session, endpoint: str) -> None:
    leftovers = find_leftovers(session, endpoint, keep_queue="Dead")
    assert len(leftovers) == 7
    assert all(left.names == () for left in leftovers)
    assert set(leftover_table(leftovers).columns[1].cells) == {"0"}


def test_everything_that_is_left_is_named(session: boto3.Session, endpoint: str) -> None:
    sqs = session.client("sqs", endpoint_url=endpoint)
    sqs.create_queue(QueueName="Dead")
    sqs.create_queue(QueueName="AppQueue")
    ec2 = session.client("ec2", endpoint_url=endpoint)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    started = ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2)["Instances"]
    running, ended = (instance["InstanceId"] for instance in started)
    ec2.terminate_instances(InstanceIds=[ended])
    ec2.create_launch_template(
        LaunchTemplateName="AppWorker", LaunchTemplateData={"ImageId": image}
    )
    ecs = session.client("ecs", endpoint_url=endpoint)
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(
        family="AppTask", containerDefinitions=[{"name": "App", "image": "x", "memory": 10}]
    )
    for name in ("AppService", "OldService"):
        ecs.create_service(
            cluster="default", serviceName=name, taskDefinition="AppTask", desiredCount=0
        )
    ecs.delete_service(cluster="default", service="OldService", force=True)
    cloudwatch = session.client("cloudwatch", endpoint_url=endpoint)
    cloudwatch.put_metric_alarm(
        AlarmName="App_i-1", EvaluationPeriods=1, ComparisonOperator="LessThanThreshold"
    )
    cloudwatch.put_dashboard(DashboardName="App", DashboardBody='{"widgets": []}')
    fleets = [
        ec2.request_spot_fleet(
            SpotFleetRequestConfig={
                "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
                "TargetCapacity": 1,
                "AllocationStrategy": "lowestPrice",
                "LaunchTemplateConfigs": [
                    {
                        "LaunchTemplateSpecification": {
                            "LaunchTemplateName": "AppWorker",
                            "Version": "$Latest",
                        },
                        "Overrides": [{"InstanceType": "m5.xlarge", "SubnetId": subnet}],
                    }
                ],
            }
        )["SpotFleetRequestId"]
        for _ in range(2)
    ]
    ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=fleets[:1], TerminateInstances=True)

    left = {it.kind: it.names for it in find_leftovers(session, endpoint, keep_queue="Dead")}

    assert left["queues"] == ("AppQueue",)
    assert left["spot fleet requests"] == (fleets[1],)
    assert running in left["machines"]
    assert ended not in left["machines"]
    assert left["ECS services"] == ("AppService",)
    assert left["alarms"] == ("App_i-1",)
    assert left["dashboards"] == ("App",)
    assert left["launch templates"] == ("AppWorker",)
