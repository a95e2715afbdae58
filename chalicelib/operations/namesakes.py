"""What stands under the names of known apps, run by run or not: found by exact name.

It finds what no index of tags shows (dashboards), and what can't be ours for want of tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from chalicelib.aws import tagged, watch
from chalicelib.aws.services import Services
from chalicelib.aws.traces import Trace
from chalicelib.core import keys
from chalicelib.core.config import RunConfig, parse_config, recorded_config
from chalicelib.core.naming import Names
from chalicelib.core.run import RunRecord
from chalicelib.core.sweep import Kind, Thing, Verdict, look_alike, stale_alarm

#: Apps that one sweep looks at, some ten calls each; the others' turn comes in the next hours.
APPS = 50
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")


def turn(apps: Sequence[str], hour: int) -> Sequence[str]:
    """The apps whose turn it is in this hour."""
    rounds = max(1, -(-len(apps) // APPS))
    first = hour % rounds * APPS
    return apps[first : first + APPS]


def saved_config(services: Services, app: str, record: RunRecord | None) -> RunConfig | None:
    """The configuration of the app's latest run, or else the one that was set up last."""
    if record is not None:
        return recorded_config(record)
    stored = services.store.read(keys.app_config(app))
    return parse_config(stored.body.decode(), keys.app_config(app)).config if stored else None


def namesakes(services: Services, config: RunConfig, latest: str) -> Iterator[Trace | Verdict]:
    """What has the names of an app that has no live run: a trace of what is ours, to be looked
    at again with its own run, and a verdict on everything else. `latest`: its latest run."""
    names = Names.of(config)
    clients, deployment = services.clients, services.settings.bucket
    for thing in (
        tagged.look_at_service(clients, deployment, names.cluster, names.service),
        tagged.look_at_dashboard(clients, deployment, names.dashboard),
        tagged.look_at_template(clients, deployment, names.launch_template),
        tagged.look_at_queue(clients, deployment, names.queue),
    ):
        if thing is not None:
            yield _trace(thing) if thing.ours else look_alike(thing)
    yield from _alarms(services, config.app_name, latest)


def _trace(thing: Thing) -> Trace:
    where = thing.where if thing.kind is Kind.SERVICE else ""  # as the tagging API tells it
    return Trace(kind=thing.kind, name=thing.name, run_id=thing.run_id, where=where)


def _alarms(services: Services, app: str, latest: str) -> Iterator[Verdict]:
    """Alarms of DCP's workers: `{app}_{instance id}`."""
    prefix = f"{app}_"
    found = {
        name.removeprefix(prefix): name
        for name in watch.alarms_beginning(services.clients.cloudwatch, f"{prefix}i-")
        if _INSTANCE.fullmatch(name.removeprefix(prefix))
    }
    known = set(found) & _machines(services, latest)
    gone = tagged.terminated(services.clients.ec2, known)
    for instance_id, name in found.items():
        yield stale_alarm(
            app, instance_id, name, known=instance_id in known, gone=instance_id in gone
        )


def _machines(services: Services, run_id: str) -> set[str]:
    """The machines that the run's last status lists as its own."""
    stored = services.store.read(keys.run_status(run_id))
    try:
        memory = json.loads(stored.body)["memory"] if stored else {}
    except (ValueError, KeyError, TypeError):
        return set()
    return set(memory.get("machines", ()))
