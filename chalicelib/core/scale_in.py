"""Machines that aren't wanted any more leave, one step a tick."""

from __future__ import annotations

from chalicelib.core.config import RunConfig
from chalicelib.core.observation import Observation
from chalicelib.core.plan import Plan
from chalicelib.core.run import RunRecord


def decide_scale_in(_record: RunRecord, _config: RunConfig, _seen: Observation) -> Plan:
    """Nothing leaves before the end yet."""
    return ()
