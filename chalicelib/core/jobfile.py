"""Job files: the groups of images that one analysis is to run, and where its inputs lie.

    read_header   everything but the groups
    check         the whole file, with all that is wrong with it
    iter_jobs     the messages to send, from any position on

Each reads the file as a stream, and takes some 16 bytes (check: 32) a group, whatever the
file holds and in whatever order. All forms that Distributed-CellProfiler (DCP) reads are
accepted. Nothing here touches AWS.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chalicelib.contract.groups import Group, format_group, job_id
from chalicelib.core.compact_set import CompactSet
from chalicelib.core.jobfile_check import GroupChecker
from chalicelib.core.jobfile_groups import GroupReader
from chalicelib.core.jobfile_header import HeaderReader, JobFileHeader
from chalicelib.core.jobfile_problems import Problems
from chalicelib.core.jobfile_stream import Opener, UnreadableError
from chalicelib.core.jobfile_templates import Bodies, Folders, canonical

__all__ = ["Job", "JobFile", "JobFileHeader", "Opener", "check", "iter_jobs", "read_header"]


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """A job file that was found right. `jobs` counts what is to be sent: `duplicates`, the
    groups that repeat an earlier one, are not sent again."""

    header: JobFileHeader
    jobs: int
    duplicates: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One group to run: its position in `groups`, its id, the key prefix of its results, and
    the body of its SQS message."""

    index: int
    job: str
    folder: str
    group: Group
    body: str


def _ignore(_count: int) -> None:
    pass


def read_header(open_stream: Opener, source: str) -> JobFileHeader:
    """Everything but the groups, wherever it stands in the file.

    Raises JobFileError; what is wrong with the groups is then told too, and otherwise left
    to `check`.
    """
    problems = Problems(source)
    reader = HeaderReader(problems, _ignore)
    header = reader.read(open_stream)
    if header is None:
        checker = GroupChecker(reader.values, problems, check_if_done=False)
        _read_groups(checker, open_stream, problems, _ignore)
        problems.raise_all()
    return header


def check(
    open_stream: Opener,
    source: str,
    *,
    check_if_done: bool,
    on_progress: Callable[[int], None] = _ignore,
) -> JobFile:
    """Read the whole file and make sure that every group can run.

    `check_if_done`: finished groups will be skipped, so that no two may share an output
    folder. `on_progress` gets the number of groups read so far, every thousand, in each of
    the two passes; what it raises goes through. Raises JobFileError with the first hundred
    problems and their number.
    """
    problems = Problems(source)
    reader = HeaderReader(problems, on_progress)
    header = reader.read(open_stream)
    checker = GroupChecker(reader.values, problems, check_if_done=check_if_done)
    _read_groups(checker, open_stream, problems, on_progress)
    if header is None or problems.total:
        problems.raise_all()
    return JobFile(
        header=header,
        jobs=checker.jobs,
        duplicates=checker.duplicates,
        warnings=(*reader.warnings, *checker.warnings()),
    )


def _read_groups(
    checker: GroupChecker,
    open_stream: Opener,
    problems: Problems,
    on_progress: Callable[[int], None],
) -> None:
    try:
        checker.read(open_stream, on_progress)
    except UnreadableError as error:
        problems.stop(error.problem)


def iter_jobs(
    open_stream: Opener, header: JobFileHeader, *, run: str, submission: str, start: int = 0
) -> Iterator[Job]:
    """The jobs of a checked file in its order, duplicates left out, from group `start` on.

    Raises JobFileError at the first group that `check` would have refused to read.
    """
    problems = Problems("being sent")
    reader = GroupReader(open_stream, report=problems.stop)
    seen = CompactSet(expect=header.groups)
    folders = Folders(header.output, header.output_structure)
    bodies = Bodies(header, run, submission)
    try:
        for index, group in reader.groups():
            text = format_group(group)
            if not seen.add(canonical(text)) or index < start:
                continue
            folder = folders.of(group)
            job = job_id(header.pipeline, header.data_file, group, folder)
            yield Job(index, job, folder, group, bodies.of(text, job, folder))
    except UnreadableError as error:
        problems.stop(error.problem)
