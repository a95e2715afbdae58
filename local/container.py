"""The first process of a local container: what is started in it doesn't outlive it.

    python container.py COMMAND [ARGUMENT …]

Runs the command and passes SIGTERM on to it alone, as `docker stop` does. When the command
ends, or the other end of standard input is closed (by the embedded AWS on purpose, or by its
death), everything still running in the container is killed, whatever session or process group
it moved to. Ends with the command's exit code, 128 + N for signal N, 137 when told to die.

Standard library only, and imports little: it starts as often as workers do.
"""

import os
import signal
import sys
import threading
import time
import types

_PR_SET_CHILD_SUBREAPER = 36
_KILLED = 128 + signal.SIGKILL


def _adopt_orphans() -> None:
    """Linux: descendants whose parent died become our children, so that we can find them."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _processes() -> list[tuple[int, int]]:
    """(pid, parent's pid) of every process of the machine."""
    if not os.path.isdir("/proc/self"):
        with os.popen("ps -A -o pid=,ppid=") as listing:
            return [(int(pid), int(parent)) for pid, parent in map(str.split, listing)]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    # pid (name, which may hold anything) state parent …
                    found.append((int(name), int(stat.read().rpartition(")")[2].split()[1])))
            except (OSError, IndexError):
                continue  # ended meanwhile
    return found


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _kill_all() -> None:
    # Again until none is left: what is being started while we look shows up in the next round.
    for _ in range(20):
        alive = False
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
                alive = True
            except OSError:
                continue
        if not alive:
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _die_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    _kill_all()
    os._exit(_KILLED)


def main(command: list[str]) -> int:
    """Run the command; returns the exit code of the container."""
    _adopt_orphans()
    started: list[int] = []

    def forward(number: int, _frame: types.FrameType | None) -> None:
        for pid in started:
            os.kill(pid, number)
        if not started:
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    defaults = [signal.SIGPIPE, signal.SIGINT]
    try:
        pid = os.posix_spawnp(
            command[0], command, os.environ, file_actions=[nothing], setsigdef=defaults
        )
    except OSError as error:
        print(f"can't start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    started.append(pid)
    threading.Thread(target=_die_with_standard_input, daemon=True).start()
    while True:
        try:
            ended, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return _KILLED  # the thread was first
        if ended == pid:
            started.clear()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _kill_all()
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
