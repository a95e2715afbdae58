"""A machine to run the boot script on, in which the tests make the time, the agent and AWS.

Where the kernel lets us, it is a namespace: the script finds its real paths, ports and
addresses there. Elsewhere the same text runs with them replaced.
"""

from tests.core.machine.outside import Machine, kind_of_machine

__all__ = ["Machine", "kind_of_machine"]
