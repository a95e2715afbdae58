"""Job files that were uploaded and that nobody ever took: their events were lost.

Only the latest version of a file counts: whoever uploaded it again meant the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from chalicelib.aws.services import Services
from chalicelib.aws.store import Entry, head
from chalicelib.core import keys
from chalicelib.core.claim import Claim
from chalicelib.core.keys import JobFileKey
from chalicelib.operations.upload import Upload

#: An event may take a while; the first thing that its handler does is to leave a mark.
SETTLED = timedelta(minutes=15)
#: How far back job files are looked at.
LOOK_BACK = timedelta(days=3)


def lost_files(services: Services, since: datetime) -> Iterator[Upload]:
    """Uploads since then that have neither claim nor mark. One call for each 1,000 job files, and
    two for each that is new."""
    now = services.now()
    taken: dict[str, Takers] = {}
    for entry in services.store.entries(keys.JOB_FILES):
        services.check_deadline()
        place = JobFileKey.parse(entry.key)
        if place is None or not max(since, now - LOOK_BACK) <= entry.modified <= now - SETTLED:
            continue
        upload = _upload(services, place, entry)
        takers = taken.setdefault(place.app, Takers(services, place.app))
        if upload is not None and not takers.took(upload, entry.modified):
            yield upload


def _upload(services: Services, place: JobFileKey, entry: Entry) -> Upload | None:
    found = head(services.clients.s3, services.settings.bucket, entry.key)
    if found is None:
        return None
    etag = found.etag.strip('"')
    return Upload(
        app=place.app,
        name=place.name,
        bucket=services.settings.bucket,
        key=entry.key,
        version="" if found.version == "null" else found.version,
        sequencer=etag,
        etag=etag,
    )


class Takers:
    """Who took the job files of one app."""

    def __init__(self, services: Services, app: str):
        self._services = services
        self._app = app
        self._claims: list[Claim] | None = None

    def took(self, upload: Upload, modified: datetime) -> bool:
        """Whether this upload has a claim or a mark, under whatever name its event gave it."""
        store, name = self._services.store, upload.submission
        for key in (keys.pending(self._app, name), keys.claim(self._app, name)):
            if store.read(key) is not None:
                return True
        # Without versions, an event names its submission by a number that only the event knows.
        return not upload.version and any(
            claim.key == upload.key and claim.etag in ("", upload.etag)
            for claim in self._claims_since(modified)
        )

    def _claims_since(self, modified: datetime) -> list[Claim]:
        """The app's claims that aren't older than the oldest file that is looked at."""
        if self._claims is None:
            store, oldest = self._services.store, self._services.now() - LOOK_BACK
            recent = (
                stored
                for entry in store.entries(keys.claims(self._app))
                if entry.modified >= min(oldest, modified)
                and (stored := store.read(entry.key)) is not None
            )
            self._claims = [Claim.model_validate_json(stored.body) for stored in recent]
        return self._claims
