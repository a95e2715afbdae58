"""Every action of a plan can be carried out, and says what it does."""

from __future__ import annotations

from typing import get_args

import pytest

from chalicelib.aws.actions import Rim, carry_out
from chalicelib.core.actions.ecs import DeleteCluster, DeleteService, DeregisterInstance
from chalicelib.core.actions.machines import CancelFleet, DeleteLaunchTemplate, TerminateInstances
from chalicelib.core.actions.queues import DeleteQueue
from chalicelib.core.actions.watch import DeleteAlarms, DeleteDashboard
from chalicelib.core.plan import Action
from tests.aws.conftest import World


@pytest.mark.parametrize("action", get_args(Action), ids=lambda action: action.__name__)
def test_every_action_has_its_function(action: type, world: World) -> None:
    assert carry_out.dispatch(action) is not carry_out.dispatch(object)
    assert world.client("sts").get_caller_identity()["Account"]


DELETIONS = [
    DeleteQueue(name="q", url="http://127.0.0.1/123456789012/none"),
    DeleteCluster(name="none"),
    DeleteService(cluster="none", service="none"),
    DeleteLaunchTemplate(name="none"),
    DeleteDashboard(name="none"),
    DeleteAlarms(names=("none",)),
    TerminateInstances(instance_ids=("i-0123456789abcdef0",)),
    CancelFleet(fleet_id="sfr-none"),
    DeregisterInstance(cluster="none", arn="none"),
]


@pytest.mark.parametrize("deletion", DELETIONS, ids=lambda action: type(action).__name__)
def test_deleting_what_is_gone_is_success(deletion: Action, world: World) -> None:
    before = world.wire.requests
    carry_out(deletion, Rim(world.process(), "App-1"))
    assert world.wire.requests > before
