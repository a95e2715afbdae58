"""Run records in the deployment bucket: found, made, and changed by compare-and-swap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from chalicelib.aws.store import AlreadyExistsError, ChangedError, Store
from chalicelib.core import keys
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import NotFoundError, UnreadableError

Change = Callable[[RunRecord], RunRecord | None]
#: More losses in a row than this mean that something is wrong, not that others are busy.
_TRIES = 50


class HeldRecord:
    """A run's record as it was last read or written.

    A change is tried on that version first and decided anew on what somebody else wrote
    meanwhile: one request where nobody did.
    """

    def __init__(self, store: Store, run_id: str):
        self._store = store
        self.run_id = run_id
        self.reload()

    def reload(self) -> RunRecord:
        """Read it again. Raises NotFoundError and UnreadableError."""
        stored = self._store.read(keys.run_record(self.run_id))
        if stored is None:
            raise NotFoundError(f"there is no run {self.run_id} in s3://{self._store.bucket}")
        self.record, self._etag = _parse(self._store, self.run_id, stored.body), stored.etag
        return self.record

    def change(self, change: Change) -> RunRecord:
        """Change it by compare-and-swap; None from `change` leaves it as it is."""
        key = keys.run_record(self.run_id)
        for _ in range(_TRIES):
            changed = change(self.record)
            if changed is None or changed == self.record:
                return self.record
            try:
                self._etag = self._store.replace(key, changed.to_json(), self._etag)
            except ChangedError:
                self.reload()
                continue
            self.record = changed
            return changed
        raise ChangedError(key)


def _parse(store: Store, run_id: str, body: bytes) -> RunRecord:
    try:
        return RunRecord.from_json(body)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UnreadableError(
            f"the record s3://{store.bucket}/{keys.run_record(run_id)} can't be read "
            f"({reason}). Put an earlier version of it back, or, if there is none, delete it; "
            "then python run.py sweep --lost removes everything that the run still has"
        ) from error


class Runs:
    """The runs of one deployment."""

    def __init__(self, store: Store):
        self.store = store

    def hold(self, run_id: str) -> HeldRecord:
        """A run's record, to be changed more than once. Raises NotFoundError."""
        return HeldRecord(self.store, run_id)

    def load(self, run_id: str) -> RunRecord:
        """A run's record. Raises NotFoundError and UnreadableError."""
        return self.hold(run_id).record

    def change(self, run_id: str, change: Change) -> RunRecord:
        """Change a record; `change` decides anew on every re-read, None leaves it as it is."""
        return self.hold(run_id).change(change)

    def latest_id(self, app: str) -> str:
        """The id of the app's latest run; "" if it never had one."""
        pointer = self.store.read(keys.app_run(app))
        return str(json.loads(pointer.body)["run_id"]) if pointer else ""

    def latest(self, app: str) -> RunRecord | None:
        """The app's latest run, whatever its phase; None if it never had one."""
        run_id = self.latest_id(app)
        stored = self.store.read(keys.run_record(run_id)) if run_id else None
        return _parse(self.store, run_id, stored.body) if stored else None

    def open(self, app: str, make: Callable[[str], RunRecord], new_id: str) -> RunRecord:
        """The app's live run, or a new one made by `make(run id)`.

        Two callers at once get the same run: the app's pointer is changed by compare-and-swap,
        and whoever finds a pointer without a record makes the record under its id.
        """
        for _ in range(_TRIES):
            pointer = self.store.read(keys.app_run(app))
            body = json.dumps({"run_id": new_id}).encode()
            try:
                if pointer is None:
                    self.store.create(keys.app_run(app), body)
                    return self._make(make(new_id))
                run_id = json.loads(pointer.body)["run_id"]
                stored = self.store.read(keys.run_record(run_id))
                if stored is None:
                    return self._make(make(run_id))
                record = _parse(self.store, run_id, stored.body)
                if record.phase is not Phase.FINISHED:
                    return record
                self.store.replace(keys.app_run(app), body, pointer.etag)
                return self._make(make(new_id))
            except (AlreadyExistsError, ChangedError):
                continue
        raise ChangedError(keys.app_run(app))

    def _make(self, record: RunRecord) -> RunRecord:
        """Index first: a run that has made anything is always in the index."""
        self.store.put(keys.live(record.run_id), b"")
        try:
            self.store.create(keys.run_record(record.run_id), record.to_json())
        except AlreadyExistsError:
            return self.load(record.run_id)
        return record

    def live(self) -> Iterator[str]:
        """The ids of live runs."""
        for key in self.store.list(keys.LIVE):
            yield key.removeprefix(keys.LIVE)

    def forget(self, run_id: str) -> None:
        """Take a finished run out of the index; its record stays."""
        self.store.delete(keys.live(run_id))
