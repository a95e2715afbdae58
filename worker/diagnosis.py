"""What CellProfiler's exit and output mean, in the user's words."""

from __future__ import annotations

import re

from chalicelib import contract
from worker.engine import LOAD_ERROR, MODULE_ERROR, Finished
from worker.failures import JobFailure

# What CellProfiler prints, the cause, and what it means; the first that is found counts. A
# sentence may use the pattern's groups.
_MEANINGS = (
    (
        r"insufficient memory|OutOfMemoryError|\bMemoryError|Cannot allocate memory",
        contract.MEMORY,
        "CellProfiler ran out of memory; raise MEMORY, or lower DOCKER_CORES so that fewer run "
        "at once",
    ),
    (
        r"No space left on device",
        contract.DISK,
        "The disk is full; raise EBS_VOL_SIZE, or lower TASKS_PER_MACHINE or DOCKER_CORES",
    ),
    (
        r"grouping keys specified on the command line \((.*?)\).*pipeline \((.*?)\)",
        contract.PIPELINE,
        "The job's group names \\1, but the pipeline groups by (\\2)",
    ),
    (
        r"Could not load the file as an image.*?: (.*)",
        contract.INPUT,
        "\\1 is not an image that CellProfiler can read",
    ),
    (
        r"MissingLibraryException|UnknownFormatException",
        contract.INPUT,
        "An image is in a format that CellProfiler can't read, or is damaged",
    ),
    (
        r'The file, "(.*?)", does not exist',
        contract.INPUT,
        "CellProfiler looked for \\1, which isn't there",
    ),
    (
        r"The (\S+) image is missing from the pipeline",
        contract.PIPELINE,
        "A module of the pipeline uses the image \\1, which neither the data file nor an "
        "earlier module provides",
    ),
    (
        r"zero-size array to reduction operation maximum",
        contract.INPUT,
        "The data file has a header and no rows",
    ),
    (
        r"no name \(Bad value\)|name parameter cannot be an empty string",
        contract.INPUT,
        "The data file has a column without a name: look for ',,' in its header, or an index "
        "column left by another program",
    ),
    (
        r"Empty image set list",
        contract.INPUT,
        "CellProfiler found no image sets: no row or file matches the group",
    ),
    (
        r"Failed to prepare run for module (\w+)",
        contract.INPUT,
        "CellProfiler couldn't make image sets from the data file (module \\1)",
    ),
    (
        r"IsADirectoryError.*?: '(.*)'",
        contract.INPUT,
        "CellProfiler found a folder where it expected a file: \\1",
    ),
    (
        r"Failed to complete post_run processing for module (\w+)",
        contract.PIPELINE,
        "Module \\1 couldn't write its results; does it export objects that no module makes?",
    ),
)

_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b.*")
_MODULE = re.compile(re.escape(MODULE_ERROR) + r" (\w+)")
_UNKNOWN_MODULE = re.compile(r"Could not find the (\S+) module")


def load_failure(finished: Finished) -> JobFailure | None:
    """The failure to load all of the pipeline, which CellProfiler itself takes for success."""
    if not any(LOAD_ERROR in sign for sign in finished.signs):
        return None
    for line in _said(finished):
        match = _UNKNOWN_MODULE.search(line)
        if match:
            return JobFailure(
                contract.PLUGIN,
                "The pipeline uses the module %s, which neither this CellProfiler nor a plugin "
                "provides" % match.group(1),
            )
    return JobFailure(
        contract.PIPELINE,
        "CellProfiler couldn't load the whole pipeline (%s); open it in CellProfiler, save it "
        "and upload it again" % (_last_exception(finished) or "no reason given"),
    )


def failure(finished: Finished) -> JobFailure:
    """Why a run that didn't succeed failed."""
    code = finished.exit_code
    text = "\n".join(_said(finished))
    for pattern, cause, sentence in _MEANINGS:
        match = re.search(pattern, text)
        if match:
            return JobFailure(cause, match.expand(sentence))
    if code in (-9, 137):
        return JobFailure(
            contract.MEMORY,
            "CellProfiler was killed, most likely for using too much memory; raise MEMORY, or "
            "lower DOCKER_CORES",
        )
    exception = _last_exception(finished)
    match = _MODULE.search(text)
    if match:
        return JobFailure(
            contract.CRASH, "Module %s failed: %s" % (match.group(1), exception or "no reason")
        )
    if code < 0:
        return JobFailure(contract.CRASH, "CellProfiler crashed (signal %d)" % -code)
    return JobFailure(
        contract.CRASH,
        "CellProfiler ended with exit code %d and done file %r: %s"
        % (code, finished.done, exception or (finished.tail or ("no output",))[-1]),
    )


def _said(finished: Finished) -> list[str]:
    """The lines that say something: tracebacks quote source, which holds messages unfilled."""
    lines = (*finished.signs, *finished.tail)
    return [line for line in lines if not line.startswith("    ")]


def _last_exception(finished: Finished) -> str:
    # CellProfiler without MySQL's library prints a traceback at every start: harmless.
    told = (line for line in reversed(finished.tail) if "MySQLdb" not in line)
    return next((line for line in told if _EXCEPTION.match(line)), "")
