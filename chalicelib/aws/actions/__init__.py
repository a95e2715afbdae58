"""How each action of a plan is done: one small function for each, by its type.

What AWS answers with (an address, an id) is written into the run record before the next
action, by compare-and-swap. Deleting what isn't there is success.

One module for each service; each is imported here, which is how its functions are known.
"""

from __future__ import annotations

from chalicelib.aws.actions import ecs, logs, machines, next_step, notices, queues, record, watch
from chalicelib.aws.actions.rim import Rim, carry_out

__all__ = [
    "Rim",
    "carry_out",
    "ecs",
    "logs",
    "machines",
    "next_step",
    "notices",
    "queues",
    "record",
    "watch",
]
