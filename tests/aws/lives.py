"""Whole lives of runs, for each Lambda function: everything that it comes to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from chalicelib.aws.errors import AwsError
from chalicelib.core import naming
from chalicelib.core.compute import ecs_tags
from chalicelib.core.run import EarlyStop, Phase
from chalicelib.errors import CellFleetError
from chalicelib.handlers.submit import on_job_file as handle_job_file
from chalicelib.operations import control
from local.moto_ec2 import withhold
from tests.aws.conftest import BUCKET, World
from tests.aws.lambdas import Lambdas, Requests
from tests.aws.machines import backend_of, instance_ids, register
from tests.aws.samples import config_keys, job_file
from tests.aws.test_health import NO_ROLE, ec2
from tests.aws.test_log_export import write
from tests.aws.test_scale_in import ONE_EACH, set_tasks
from tests.aws.test_submit import event
from tests.aws.test_sweep import orphan
from tests.aws.test_tick import finish_jobs, remains
from tests.aws.test_watch import put_alarm


def make_topic(world: World) -> str:
    return str(world.client("sns").create_topic(Name="lab")["TopicArn"])


def leave_a_service(world: World) -> None:
    """The service of an earlier run of the app App, which nobody removed."""
    ecs = world.client("ecs")
    ecs.create_cluster(clusterName="lab")
    register_by_hand(world)
    owner = naming.tags(app="App", run_id="App-20260101T0000000000", deployment=BUCKET)
    ecs.create_service(
        cluster="lab",
        serviceName="AppService",
        taskDefinition="AppTask",
        desiredCount=0,
        tags=ecs_tags(owner),
    )


def register_by_hand(world: World) -> None:
    world.client("ecs").register_task_definition(
        family="AppTask",
        containerDefinitions=[{"name": "App", "image": "old", "memory": 100}],
    )


def end_a_task(world: World, machine: str, run_id: str) -> None:
    """A container that has ended, for ECS to tell why."""
    register(world, machine, run_id=run_id)
    ecs, app = world.client("ecs"), naming.app_of(run_id)
    [started] = ecs.run_task(cluster="lab", taskDefinition=f"{app}Task")["tasks"]
    task = backend_of(world).tasks["lab"][started["taskArn"]]
    task.group = f"service:{app}Service"
    task.desired_status = task.last_status = "STOPPED"
    task.stop_code, task.stopped_reason = "TaskFailedToStart", "Task failed to start"
    task.stopped_at = world.clock()


def containers_are_gone(world: World) -> None:
    """Without machines there are none; moto counts on."""
    for cluster in backend_of(world).clusters.values():
        cluster.running_tasks_count = 0


def break_set_up(world: World) -> None:
    """Somebody deletes most of what the app App has, and changes its queue."""
    sqs, ecs, logs = world.client("sqs"), world.client("ecs"), world.client("logs")
    url = sqs.get_queue_url(QueueName="AppQueue")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="lab_DeadMessages")["QueueUrl"])
    ecs.delete_service(cluster="lab", service="AppService", force=True)
    for arn in ecs.list_task_definitions(familyPrefix="AppTask")["taskDefinitionArns"]:
        ecs.deregister_task_definition(taskDefinition=arn)
    ecs.delete_cluster(cluster="lab")
    logs.delete_log_group(logGroupName="App")


def open_run(lambdas: Lambdas, run_id: str, wake: Callable[[], object]) -> None:
    """All that a tick may do to a run that goes on; `wake` makes one happen, minutes later."""
    world = lambdas.world
    # Fewer machines are allowed, and the user is told: they finish their jobs, and go.
    machines = instance_ids(world, run_id)
    end_a_task(world, machines[0], run_id)
    for name in machines[1:]:
        register(world, name, run_id=run_id, tasks=1)
    early = {"early_stop": EarlyStop.LIMITED, "machine_limit": 1, "limit_reason": "all fail"}
    lambdas.remember(run_id, **early)
    wake()
    set_tasks(world, dict.fromkeys(machines, 0))
    wake()
    # More are wanted again, and can't come: the fleet is given up.
    lambdas.remember(run_id, early_stop=EarlyStop.LIFTED, machine_limit=None)
    withhold(ec2(world), [NO_ROLE])
    world.client("ec2").terminate_instances(InstanceIds=instance_ids(world, run_id))
    for _ in range(7):
        wake()
    assert world.process().runs.load(run_id).stuck
    withhold(ec2(world), None)


def shrinking_run(lambdas: Lambdas, run_id: str, wake: Callable[[], object]) -> None:
    """A fleet that keeps itself up, watched from a user's machine, and too large."""
    world = lambdas.world
    for name in instance_ids(world, run_id):
        register(world, name, run_id=run_id, tasks=1)
    lambdas.remember(run_id, monitored=True, machine_limit=1)
    wake()
    [fleet] = world.client("ec2").describe_spot_fleet_requests(
        SpotFleetRequestIds=[f.fleet_id for f in world.process().runs.load(run_id).fleets]
    )["SpotFleetRequestConfigs"]
    assert fleet["SpotFleetRequestConfig"]["TargetCapacity"] == 1


def job_files(lambdas: Lambdas) -> None:
    """What the upload of a job file sets off: it is sent, and its run is ticked once."""
    world = lambdas.world
    keys: dict[str, Any] = {**ONE_EACH, "NOTIFY_TOPIC": make_topic(world), "MEMORY": 2000}
    count = iter(range(100))

    def upload(app: str, **changes: Any) -> str:
        world.clock.advance(minutes=4)
        body = job_file(4, config=config_keys(app, **keys, **changes))
        return lambdas.on_job_file(app, body, f"plate-{next(count)}")

    leave_a_service(world)
    world.client("cloudwatch").put_dashboard(DashboardName="App", DashboardBody="{}")
    world.put("chains/analysis.json", job_file(3))
    chain = job_file(4, config=config_keys(**keys), then="chains/analysis.json")
    run_id = lambdas.on_job_file("App", chain)
    lambdas.on_job_file("Bad", {"groups": 1})
    break_set_up(world)
    upload("App")
    open_run(lambdas, run_id, lambda: upload("App"))
    kept = upload("Kept", AUTO_MONITOR="False")
    shrinking_run(lambdas, kept, lambda: upload("Kept", AUTO_MONITOR="False"))


def minutes(lambdas: Lambdas) -> None:
    """What comes of the monitor's passes, from what a dying submission left to the last log."""
    world = lambdas.world
    keys: dict[str, Any] = {**ONE_EACH, "NOTIFY_TOPIC": make_topic(world), "MEMORY": 2000}
    plate = job_file(4, config=config_keys(**keys), then="chains/analysis.json")
    world.put("chains/analysis.json", job_file(3))
    leave_a_service(world)
    world.wire.cut_at("AmazonSQS.SendMessageBatch")
    with contextlib.suppress(*AwsError, CellFleetError):
        handle_job_file(
            world.process(), event("jobs/App/plate.json", world.put("jobs/App/plate.json", plate))
        )
    world.wire.mend()
    lambdas.tick(3)
    [run_id] = [key.removeprefix("live/") for key in world.keys("live/")]
    assert world.process().runs.load(run_id).closed
    break_set_up(world)
    lambdas.tick()
    open_run(lambdas, run_id, lambda: lambdas.tick(4))
    control.start(world.process(), "App", None)
    # Its jobs are lost, sent again, done; it ends, and the next step follows.
    world.messages("AppQueue", delete=True)
    for _ in range(6):
        lambdas.tick()
    for name in instance_ids(world, run_id):
        register(world, name, run_id=run_id)
    for group in ("App", "App_perInstance"):
        write(world, group, "CellProfiler says hello")
    register_by_hand(world)
    finish_jobs(world, "AppQueue")
    for _ in range(8):
        lambdas.tick()
    assert lambdas.phase(run_id) is Phase.FINISHED
    assert len(world.client("logs").describe_export_tasks()["exportTasks"]) == 2
    control.stop(world.process(), "App")

    kept = submit(world, "Kept", AUTO_MONITOR="False", **keys)
    shrinking_run(lambdas, kept, lambdas.tick)
    control.stop(world.process(), "Kept")

    # DCP's own image: no ledger, and alarms of its workers. A cluster of its own, too.
    old = submit(world, "Old", WORKER="dcp", ECS_CLUSTER="old")
    lambdas.tick()
    for name in instance_ids(world, old):
        put_alarm(world, f"Old_{name}")
    world.messages("OldQueue", delete=True)
    for _ in range(10):
        containers_are_gone(world)
        lambdas.tick()
    assert lambdas.phase(old) is Phase.FINISHED
    assert world.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def hours(lambdas: Lambdas) -> None:
    """What the sweep finds when everything else has failed."""
    world = lambdas.world
    lambdas.sweep(0)
    run_id = submit(world, "App")
    lambdas.tick()
    gone = "i-0123456789abcdef0"
    status = world.read(f"runs/{run_id}/status.json")
    status["memory"]["machines"] = [gone]
    world.put(f"runs/{run_id}/status.json", status)
    put_alarm(world, f"App_{gone}")
    orphan(world, run_id)
    other = submit(world, "Other", ECS_CLUSTER="other")
    world.client("s3").delete_object(Bucket=BUCKET, Key=f"live/{other}")
    world.put("live/App-20260101T0000000000", b"")
    world.put("jobs/Lost/plate.json", job_file(config=config_keys("Lost")))
    lambdas.sweep(2)
    containers_are_gone(world)
    lambdas.sweep()
    lambdas.sweep()
    assert world.keys("live/") == [f"live/{other}"]
    assert remains(world, "App") == []
    assert world.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def submit(world: World, app: str, **keys: Any) -> str:
    """A run that a job file has begun, as nobody's doing."""
    key = f"jobs/{app}/plate.json"
    body = job_file(4, config=config_keys(app, **keys))
    (outcome,) = handle_job_file(world.process(), event(key, world.put(key, body)))
    return outcome.run_id


def requests(lambdas: Lambdas) -> None:
    """What requests set off: all that uploads do, and a word to runs."""
    asking = Requests(lambdas.world, lambdas.calls)
    job_files(asking)
    run = asking.ask("stop_run", app="App")["run"]
    for route in ("show_run", "list_failures", "redrive_jobs", "show_report"):
        asking.ask(route, run=run)
    asking.ask("list_runs")
    asking.ask("start_machines", app="Kept")
    offered = asking.ask("offer_upload", {"name": "plate"}, app="App")
    assert offered["method"] == "PUT"


SCENARIOS = {"on_job_file": job_files, "api_handler": requests, "tick": minutes, "sweep": hours}
