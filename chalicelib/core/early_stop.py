"""When everything fails in the same way, one machine is enough to find that out.

The first jobs to end decide, whoever comes later. What they failed of is told in the run's
status; the jobs stay, and one machine goes on with them. All machines come back as soon as one
job ends well, or when the user starts the cluster again.
"""

from __future__ import annotations

from chalicelib.core.actions.record import Note, Remember
from chalicelib.core.config import RunConfig
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import EarlyStop, RunRecord

#: Machines that go on trying.
MACHINES = 1


def decide_early_stop(record: RunRecord, config: RunConfig, seen: Observation) -> Plan:
    """Limit the machines of a run whose first jobs all failed alike; lift that when one succeeds."""
    if record.early_stop is EarlyStop.LIMITED and seen.progress.done:
        return (Remember(fields=lift(record)),)
    if record.early_stop is not EarlyStop.NEVER or not (config.auto_monitor or record.monitored):
        return ()
    reason = why_stop(record, config, seen)
    if not reason:
        return ()
    fields = {
        "early_stop": EarlyStop.LIMITED,
        "machine_limit": MACHINES,
        "limit_reason": reason,
    }
    return (Remember(fields=fields), Note(text=reason))


def why_stop(record: RunRecord, config: RunConfig, seen: Observation) -> str:
    """The sentence for the user, if the first outcomes were failures of one cause; or "".

    A job that was interrupted, or lost with its machine, has had no outcome of its own yet.
    """
    enough = min(config.early_stop_after, record.jobs)
    first = seen.progress.first[:enough]
    if not enough or len(first) < enough or seen.progress.done:
        return ""
    causes = {outcome.cause for outcome in first}
    cause = first[0].cause
    if len(causes) > 1 or not cause:
        return ""
    jobs = f"first {enough} jobs" if enough > 1 else "first job"
    return (
        f"the {jobs} of this run failed, of the same cause ({cause}), and none has ended well: "
        f"the fleet is kept to {MACHINES} machine. Look at why they failed; then stop the run "
        "and submit it corrected, or start the cluster again to go on with all machines"
    )


def lift(record: RunRecord) -> dict[str, object]:
    """The fields that take the limit back; it doesn't come again in this run."""
    if record.early_stop is not EarlyStop.LIMITED:
        return {}
    return {"early_stop": EarlyStop.LIFTED, "machine_limit": None, "limit_reason": ""}
