"""A warm CellProfiler: one process that runs job after job. `worker.warm` starts it with the Python
that has CellProfiler; of the worker it imports `warm_image_sets` alone.

A job is a line of JSON on the standard input, whose end ends the process at once. What CellProfiler
says goes to the standard output, as on its command line; then comes a line `TOKEN {json}` with how
the job ended, or why the command line has to run it. Anything but a clean end means that the process
must not be used again.

Cold, CellProfiler spends seconds on its imports, on Java and on reading the whole data file.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, Iterator

from worker.warm_image_sets import ImageSets, Unsuited, get, load


def main(token: str) -> int:
    """Serve until the input ends, which ends the process."""
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=listen, args=(lines,), daemon=True).start()
    say(token, {"ready": True, "version": start()})
    kept: dict[str, ImageSets] = {}
    while True:
        result = run(json.loads(lines.get().decode("utf-8")), kept)
        result["memory"] = memory()
        say(token, result)


def listen(lines: queue.Queue[bytes]) -> None:
    """Take jobs as they come. The input ends with the worker, or at its order: nobody waits for
    the job in hand any more. (At its own end the interpreter could hang, with Java up.)"""
    source = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in source:
        lines.put(line)
    os._exit(0)


def say(token: str, result: dict[str, Any]) -> None:
    """Tell the worker, on a line of its own, after all that was printed before."""
    sys.stderr.flush()
    print("\n%s %s" % (token, json.dumps(result)), flush=True)


def memory() -> int:
    """The bytes of memory that the process holds; 0 where the system doesn't tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def start() -> str:
    """What all jobs share: settings, modules, Java. Returns CellProfiler's version."""
    import logging

    import numpy
    from cellprofiler_core.preferences import set_awt_headless, set_headless

    set_awt_headless(True)
    set_headless()
    numpy.seterr(all="ignore")  # as the command line
    logging.root.setLevel(logging.INFO)
    logging.root.addHandler(logging.StreamHandler())
    import cellprofiler
    from cellprofiler_core.utilities.core.modules import fill_modules
    from cellprofiler_core.utilities.java import start_java

    fill_modules()
    start_java()
    forget_folders()
    gc.collect()
    gc.freeze()  # what stays for good needn't be looked through after each job
    return str(cellprofiler.__version__)


def forget_folders() -> None:
    """Bio-Formats remembers for an hour what is in a folder."""
    import javabridge

    javabridge.JClassWrapper("loci.common.Location").clearDirectoryListingsCache()


def run(job: dict[str, Any], kept: dict[str, ImageSets]) -> dict[str, Any]:
    """One job: `exit_code` and `done` as the command line would leave them; or `unsuited`."""
    try:
        with settings_of(job):
            status = _run(job, kept)
    except Unsuited as reason:
        return {"unsuited": str(reason)}
    except Exception:
        traceback.print_exc()
        return {"exit_code": 1, "done": ""}
    finally:
        gc.collect()
    return {"exit_code": 0 if status == "Complete" else 255, "done": status}


@contextlib.contextmanager
def settings_of(job: dict[str, Any]) -> Iterator[None]:
    """The command line's settings, and nothing left of the job before."""
    import bioformats.formatreader
    from cellprofiler_core import preferences

    # CellProfiler asks `tempfile`, whatever its own setting says.
    tempfile.tempdir = os.environ["TMPDIR"] = job["temporary"]
    os.chdir(job["temporary"])
    preferences.set_default_output_directory(job["output"])
    preferences.set_default_image_directory(job["input"])
    preferences.set_data_file(job["data_file"])
    preferences.set_always_continue(bool(job["always_continue"]), globally=False)
    forget_folders()
    try:
        yield
    finally:
        bioformats.formatreader.clear_image_reader_cache()
        os.chdir("/")


def _run(job: dict[str, Any], kept: dict[str, ImageSets]) -> str:
    """The status that CellProfiler gives the run."""
    from cellprofiler_core.constants.measurement import EXPERIMENT
    from cellprofiler_core.constants.pipeline import EXIT_STATUS

    group = dict(pair.split("=") for pair in job["group"].split(","))
    measurements = get(job, kept).of_group(group)
    try:
        for _ in load(job["pipeline"], prepared=True).run_with_yield(
            image_set_start=1,
            grouping=group,
            run_in_background=False,
            initial_measurements=measurements,
        ):
            pass
        if measurements.has_feature(EXPERIMENT, EXIT_STATUS):
            return str(measurements.get_experiment_measurement(EXIT_STATUS))
        return "Failure"
    finally:
        measurements.close()
