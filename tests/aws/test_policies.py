"""Each Lambda function may do what it does, and no more.

Each is taken through all that it comes to do (`lives`). What it asks of AWS is looked up in
`permissions`, and compared with its policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.aws.conftest import World
from tests.aws.lambdas import Lambdas
from tests.aws.lives import SCENARIOS
from tests.aws.permissions import (
    PROJECT,
    Calls,
    asked_for,
    granted,
    imported,
    known,
    needs,
    policy_files,
    several,
    statements,
)

SERVICES = ("s3", "sqs", "ecs", "ec2", "logs", "cloudwatch", "sns", "ssm", "sts", "tagging")
#: Granted, and not seen at boto3's edge: the function's own log, which Lambda writes in its name.
OWN_LOG = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}

#: `run.py account` works with the user's own permissions: no Lambda comes this way.
USERS_OWN = ("chalicelib.aws.account", "chalicelib.operations.account")


def of_lambdas() -> list[Path]:
    own = {PROJECT / f"{name.replace('.', '/')}.py" for name in USERS_OWN}
    assert all(path.is_file() for path in own)
    return [p for p in (PROJECT / "app.py", *PROJECT.glob("chalicelib/**/*.py")) if p not in own]


@pytest.fixture(autouse=True)
def _today(world: World) -> None:
    """What AWS makes, it dates by its own clock."""
    world.clock.moment = datetime.now(UTC)


@pytest.fixture
def calls(world: World) -> Iterator[Calls]:
    found = Calls()
    with found.listening(*(world.client(service) for service in SERVICES)):
        yield found


@pytest.fixture
def lambdas(world: World, calls: Calls) -> Lambdas:
    return Lambdas(world, calls)


@pytest.mark.parametrize("function", SCENARIOS)
def test_a_function_may_do_all_it_does_and_nothing_else(function: str, lambdas: Lambdas) -> None:
    SCENARIOS[function](lambdas)
    asked = lambdas.calls.actions[function]
    allowed = granted(policy_files()[function])
    assert {action: call for action, call in asked.items() if action not in allowed} == {}
    assert allowed - set(asked) == OWN_LOG - set(asked)


def test_each_call_in_the_code_is_looked_up_and_somebody_may_make_it(world: World) -> None:
    methods = {
        method: operation
        for service in SERVICES
        for method, operation in world.client(service).meta.method_to_api_mapping.items()
    }
    assert world.client("sts").get_caller_identity()
    allowed = {action for policy in policy_files().values() for action in granted(policy)}
    for path in of_lambdas():
        assert not imported(path) & set(USERS_OWN), path
    for operation in asked_for(of_lambdas(), methods):
        found = [needs(name, {}) for name in known(operation)]
        assert found, f"{operation} isn't in the table of permissions"
        assert any(actions <= allowed for actions in found), operation


def test_policies_name_each_action_once_and_where_it_works(world: World) -> None:
    assert set(policy_files()) == set(SCENARIOS)
    for function, policy in policy_files().items():
        actions = [a for part in statements(policy) for a in several(part["Action"])]
        assert len(actions) == len(set(actions)), function
        for part in statements(policy):
            for action in several(part["Action"]):
                assert "*" not in action, (function, action)
                for resource in several(part["Resource"]):
                    service = resource.split(":")[2] if resource != "*" else ""
                    assert service in ("", action.split(":")[0]), (function, action, resource)
            if "iam:PassRole" in several(part["Action"]):
                assert part["Condition"]["StringEquals"]["iam:PassedToService"]
    assert world.client("sts").get_caller_identity()
