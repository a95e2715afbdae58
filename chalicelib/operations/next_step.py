"""Before a job file is accepted: the chain of those that are to follow it, looked at to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.aws.execute import execute
from chalicelib.aws.services import Services
from chalicelib.aws.store import IN_MEMORY, ObjectReader, ObjectVersion, head
from chalicelib.core.actions.record import Note
from chalicelib.core.compute import choose_worker
from chalicelib.core.config import ParsedConfig, RunConfig, parse_keys
from chalicelib.core.jobfile import JobFileHeader, check, read_header
from chalicelib.core.jobfile_problems import show
from chalicelib.core.jobfile_then import THEN, split, tolerated
from chalicelib.core.next_step import LONGEST
from chalicelib.core.notices import notice
from chalicelib.core.run import NextStep
from chalicelib.core.upload import Upload
from chalicelib.errors import InputError, JobFileError, Problem

REFUSED = "next-step-refused"


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A job file of the chain, with the configuration that it will be run by."""

    key: str
    header: JobFileHeader
    config: RunConfig
    etag: str = ""


def follow(
    services: Services,
    upload: Upload,
    header: JobFileHeader,
    parsed: ParsedConfig,
    *,
    jobs: int,
    on_progress: Callable[[int], None],
) -> NextStep | None:
    """The step after this job file, when the whole chain behind it can be run; None at its end.

    Each file is read as it is now: those up to 4 MiB as a whole, of larger ones everything but
    the groups. Raises JobFileError on a file that is missing, that can't be used, that leads in
    a circle, or that is beyond the 20th.
    """
    chain = [_Step(key=upload.key, header=header, config=parsed.config)]
    while chain[-1].header.then:
        chain.append(_after(services, upload, chain, on_progress))
    if len(chain) == 1:
        return None
    first = chain[1]
    return NextStep(
        key=first.key,
        app=first.config.app_name,
        tolerated=tolerated(header.then_if_failed_at_most, jobs),
        etag=first.etag,
    )


def _after(
    services: Services,
    upload: Upload,
    chain: list[_Step],
    on_progress: Callable[[int], None],
) -> _Step:
    on_progress(0)  # each file takes a while: the lease is kept
    last = chain[-1]
    bucket, key = split(last.header.then)
    known = [step.key for step in chain]
    if choose_worker(last.config, services.settings)[0] == "dcp":
        raise _refused(
            upload,
            last,
            "DCP's images don't tell which jobs failed, so that nothing can follow them",
            "use a CellFleet image: WORKER = 'cellfleet'",
        )
    if bucket not in ("", services.settings.bucket):
        raise _refused(
            upload, last, f"expected a job file in the bucket {services.settings.bucket}"
        )
    if key in known:
        circle = " -> ".join([*known[known.index(key) :], key])
        raise _refused(upload, last, f"the job files lead in a circle: {circle}")
    if upload.step + len(chain) > LONGEST:
        raise _refused(upload, last, f"a chain of more than {LONGEST} job files")
    found = head(services.clients.s3, services.settings.bucket, key)
    if found is None:
        raise _refused(
            upload,
            last,
            f"there is no s3://{services.settings.bucket}/{key}",
            "upload the files of a chain from its end to its beginning",
        )
    try:
        return _read(services, found, last.config, on_progress)
    except InputError as error:
        problems = [
            replace(problem, where=f"{THEN}, {key}, {problem.where}") for problem in error.problems
        ]
        raise JobFileError(upload.key, problems, total=error.total) from error


def _read(
    services: Services,
    found: ObjectVersion,
    before: RunConfig,
    on_progress: Callable[[int], None],
) -> _Step:
    reader = ObjectReader(services.clients.s3, found)
    header = read_header(reader, found.key)
    config = before
    if header.config is not None:
        raw = {"APP_NAME": before.app_name, **header.config}
        config = parse_keys(raw, f"{found.key}, config").config
    if found.size <= IN_MEMORY:
        check(
            reader,
            found.key,
            check_if_done=config.check_if_done_bool,
            on_progress=on_progress,
        )
    return _Step(key=found.key, header=header, config=config, etag=found.etag.strip('"'))


def _refused(upload: Upload, step: _Step, expected: str, hint: str = "") -> JobFileError:
    where = THEN if step.key == upload.key else f"{THEN} of {step.key}"
    problem = Problem(where=where, found=show(step.header.then), expected=expected, hint=hint)
    return JobFileError(upload.key, [problem])


def tell_refusal(services: Services, upload: Upload, reason: str, place: str) -> None:
    """A next step was refused: say so where the run before it is looked at."""
    text = f"{upload.key} was to follow, and was refused: {reason}"
    told = notice(
        REFUSED,
        f"{upload.app}: the next job file was refused",
        f"After the run {upload.follows}, {upload.key} was to follow, and was refused.",
        reason,
        f"All reasons are in s3://{services.settings.bucket}/{place}. Mend the file, and upload "
        f"it below jobs/{upload.app}/ to go on.",
    )
    execute(services, upload.follows, (Note(text=text), told))
