"""Stands in for a Python that has CellProfiler: kept warm, or running CellProfiler's command.

The kept one speaks as `worker.warm_process` does. Next to this script, behaviour.json says which
wells are to go wrong, and how; a line of runs.txt tells who ran which well. If `job.py` is there,
it does the work, with the arguments of CellProfiler's command.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
modes = json.loads((HERE / "behaviour.json").read_text())


def note(how: str, well: str) -> None:
    with (HERE / "runs.txt").open("a") as file:
        file.write(f"{how} {well} {os.getpid()}\n")


def child() -> int:
    """A process that outlives this one, and holds its output open."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def work(arguments: list[str]) -> None:
    """Have job.py do the work, if it is there."""
    if (HERE / "job.py").exists():
        sys.argv[1:] = arguments
        runpy.run_path(str(HERE / "job.py"))


if sys.argv[1] != "-c":
    well = sys.argv[sys.argv.index("-g") + 1].partition("=")[2]
    note("cold", well)
    work(sys.argv[2:])
    Path(sys.argv[sys.argv.index("-d") + 1]).write_text("Complete\n")
    sys.exit()

token = sys.argv[-1]


def say(**word: object) -> None:
    print("\n" + token, json.dumps(word), flush=True)


if "start" in modes:
    sys.exit("no Java here")
print("noise of the start", flush=True)
say(ready=True)
for number, line in enumerate(sys.stdin):
    job = json.loads(line)
    well = job["group"].partition("=")[2]
    note("warm", well)
    mode = modes.get(well, "")
    if mode == "hang":
        (HERE / "children").write_text(f"{os.getpid()} {child()}")
        os.rename(HERE / "children", HERE / "pids")
        time.sleep(600)
    if mode == "killed":
        child()
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "unsuited":
        say(unsuited="it is made so")
        continue
    failed = mode == "module error"
    if mode.startswith("module error"):
        print("Error detected during run of module X", flush=True)
    print("at work on", well, flush=True)
    done = job["temporary"] + "/done"
    work(["-g", job["group"], "--data-file=" + job["data_file"], "-o", job["output"], "-d", done])
    say(
        exit_code=255 if failed else 0,
        done="Failure" if failed else "Complete",
        memory=number * 10**9 if mode == "grows" else 1,
    )
