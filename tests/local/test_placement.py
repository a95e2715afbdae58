"""Where tasks are placed and which are stopped: pure decisions, and the reading of user data."""

import pytest

from chalicelib.core.user_data import user_data
from local.placement import (
    Candidate,
    Needs,
    Place,
    agent_settings,
    choose,
    satisfies,
    victims,
)

ROOM = Needs(cpu=4096, memory=8000)
TASK = Needs(cpu=1024, memory=2000)


def test_the_agent_reads_our_user_data() -> None:
    settings = agent_settings(
        user_data(cluster="analyses", run_id="App-20260101T000000abcd", kind="cellfleet")
    )

    assert settings is not None
    assert settings.cluster == "analyses"
    assert settings.attributes == {"cellfleet.run": "App-20260101T000000abcd"}
    assert settings.spot_draining


@pytest.mark.parametrize(
    ("script", "cluster", "attributes"),
    [
        ("echo ECS_CLUSTER=c >> /etc/ecs/ecs.config", "c", {}),
        ('ECS_CLUSTER="c"\nECS_INSTANCE_ATTRIBUTES=\'{"a": "b"}\'', "c", {"a": "b"}),
        ('echo "ECS_INSTANCE_ATTRIBUTES={\\"a\\": \\"b\\"}"; echo ECS_CLUSTER=c', "c", {"a": "b"}),
    ],
)
def test_other_ways_of_writing_it(script: str, cluster: str, attributes: dict[str, str]) -> None:
    settings = agent_settings(script)

    assert settings is not None
    assert (settings.cluster, settings.attributes) == (cluster, attributes)
    assert not settings.spot_draining


@pytest.mark.parametrize("script", ["", "#!/bin/bash\nyum update", "# ECS_CLUSTER=commented"])
def test_an_instance_that_names_no_cluster_is_none_of_ours(script: str) -> None:
    assert agent_settings(script) is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("attribute:cellfleet.run == App-1", True),
        ("attribute:cellfleet.run == App", False),
        ("attribute:cellfleet.run == 'App-1'", True),
        ("attribute:cellfleet.run == App-1 and attribute:ecs.os-type == linux", True),
        ("attribute:cellfleet.run == App-1 and attribute:ecs.os-type == windows", False),
        ("attribute:absent == App-1", False),
    ],
)
def test_member_of(expression: str, expected: bool) -> None:
    attributes = {"cellfleet.run": "App-1", "ecs.os-type": "linux"}
    constraint = {"type": "memberOf", "expression": expression}

    assert satisfies(attributes, [constraint]) is expected


def test_an_expression_that_is_not_emulated_is_an_error_not_a_guess() -> None:
    with pytest.raises(ValueError, match="instance-type"):
        satisfies({}, [{"type": "memberOf", "expression": "attribute:ecs.instance-type =~ t2.*"}])
    with pytest.raises(ValueError, match="distinctInstance"):
        satisfies({}, [{"type": "distinctInstance", "expression": ""}])


def test_tasks_are_spread_over_machines() -> None:
    places = [Place("i-1", ROOM, 2), Place("i-2", ROOM, 1), Place("i-3", ROOM, 1)]

    assert choose(places, TASK) == "i-2"


def test_no_machine_is_overfilled() -> None:
    full = [Place("i-1", Needs(1023, 8000), 0), Place("i-2", Needs(4096, 1999), 0)]

    assert choose(full, TASK) is None
    assert choose([*full, Place("i-3", TASK, 9)], TASK) == "i-3"


def test_victims_are_never_protected_and_come_from_the_fullest_machine() -> None:
    candidates = [
        Candidate("a1", "i-1", protected=True, order=0),
        Candidate("a2", "i-1", protected=False, order=1),
        Candidate("b1", "i-2", protected=False, order=2),
    ]

    assert victims(candidates, 1) == ["a2"]
    assert sorted(victims(candidates, 3)) == ["a2", "b1"]
    assert victims(candidates, 0) == victims(candidates, -1) == []
