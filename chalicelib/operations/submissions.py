"""Job files that come in a request's body, or are to be uploaded by a link."""

from __future__ import annotations

import io
from datetime import timedelta

from chalicelib.aws.services import Services
from chalicelib.core import keys
from chalicelib.core.api.answers import RefusalAnswer, SubmissionAnswer, UploadAnswer
from chalicelib.core.claim import Claim
from chalicelib.core.jobfile import Opener, check, read_header
from chalicelib.core.run import Phase
from chalicelib.errors import ConflictError, DeadlineError, LeaseLostError, NotFoundError
from chalicelib.operations.job_config import config_of
from chalicelib.operations.next_step import follow
from chalicelib.operations.setup import check_fit
from chalicelib.operations.submit import Upload, submit

#: How long a link to upload or read by is good for.
LINK = timedelta(minutes=15)


def take(
    services: Services, app: str, body: bytes, *, name: str, start: bool, token: str
) -> SubmissionAnswer:
    """Send the jobs of a job file, or as many as time allows: a tick goes on.

    `token` (letters and digits) names this submission: given again, it is the same one. What is
    wrong with the file is found before anything of it is kept. Raises InputError and
    ConflictError.
    """
    upload = Upload(
        app=app,
        name=name,
        bucket=services.settings.bucket,
        key=keys.submitted(app, token, f"{name}.json"),
        sequencer=token,
        start=start,
    )
    look_through(services, upload, lambda: io.BytesIO(body))
    services.store.put(upload.key, body)
    answer = go(services, upload)
    if answer.state == "closed":
        services.store.delete(upload.key)
    return answer


def look_through(services: Services, upload: Upload, opener: Opener) -> None:
    """Find what a submission would be refused for. Raises InputError."""
    header = read_header(opener, upload.name)
    latest = services.runs.latest(upload.app)
    live = latest if latest is not None and latest.phase is not Phase.FINISHED else None
    parsed = config_of(services, upload, header, live)
    check_fit(services, parsed.config, header.fleet)
    found = check(opener, upload.name, check_if_done=parsed.config.check_if_done_bool)
    follow(services, upload, header, parsed, jobs=found.jobs, on_progress=lambda _: None)


def go(services: Services, upload: Upload) -> SubmissionAnswer:
    """Go on with a submission whose file is in the bucket, until it is sent or time is up.

    Raises ConflictError where it is refused; then its claim and its file are gone again, so that
    it can be tried once more.
    """
    messages: tuple[str, ...] = ()
    try:
        outcome = submit(services, upload)
        messages = outcome.messages
        refused = outcome.state == "refused"
    except (DeadlineError, LeaseLostError):
        refused = False
    if refused:
        services.store.delete(upload.key)
        services.store.delete(keys.refusal(upload.app, upload.name))
        services.store.delete(keys.claim(upload.app, upload.submission))
        raise ConflictError("; ".join(messages))
    answer = show(services, upload.app, upload.submission)
    return answer.model_copy(update={"messages": messages})


def show(services: Services, app: str, submission: str) -> SubmissionAnswer:
    """What became of a submission. Raises NotFoundError."""
    stored = services.store.read(keys.claim(app, submission))
    if stored is None:
        raise NotFoundError(f"the app {app} has no submission {submission}")
    claim = Claim.model_validate_json(stored.body)
    return SubmissionAnswer(
        submission=submission,
        app=app,
        state=claim.state,
        run=claim.run_id,
        jobs=claim.jobs,
        sent=claim.sent,
        duplicates=claim.duplicates,
    )


def offer_upload(services: Services, app: str, name: str) -> UploadAnswer:
    """A link by which one job file can be put below `jobs/`, where its arrival starts it."""
    key = keys.job_file(app, name)
    return UploadAnswer(
        url=services.store.link_to_put(key, int(LINK.total_seconds())),
        expires_at=services.now() + LINK,
        job_file=key,
    )


def show_refusal(services: Services, app: str, name: str) -> RefusalAnswer:
    """Why an uploaded job file was refused. Raises NotFoundError."""
    stored = services.store.read(keys.refusal(app, name))
    if stored is None:
        raise NotFoundError(f"no job file {name} of the app {app} was refused")
    return RefusalAnswer.model_validate_json(stored.body)
