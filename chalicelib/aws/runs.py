"""Run records in the deployment bucket: found, made, and changed by compare-and-swap."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from chalicelib.aws.store import AlreadyExistsError, ChangedError, Store
from chalicelib.core import keys
from chalicelib.core.run import Phase, RunRecord
from chalicelib.errors import NotFoundError

Change = Callable[[RunRecord], RunRecord | None]
#: More losses in a row than this mean that something is wrong, not that others are busy.
_TRIES = 50


class Runs:
    """The runs of one deployment."""

    def __init__(self, store: Store):
        self.store = store

    def load(self, run_id: str) -> RunRecord:
        """A run's record. Raises NotFoundError."""
        stored = self.store.read(keys.run_record(run_id))
        if stored is None:
            raise NotFoundError(f"there is no run {run_id} in s3://{self.store.bucket}")
        return RunRecord.from_json(stored.body)

    def change(self, run_id: str, change: Change) -> RunRecord:
        """Change a record; `change` decides anew on every re-read, None leaves it as it is."""
        key = keys.run_record(run_id)
        for _ in range(_TRIES):
            stored = self.store.read(key)
            if stored is None:
                raise NotFoundError(f"there is no run {run_id} in s3://{self.store.bucket}")
            record = RunRecord.from_json(stored.body)
            changed = change(record)
            if changed is None or changed == record:
                return record
            try:
                self.store.replace(key, changed.to_json(), stored.etag)
            except ChangedError:
                continue
            return changed
        raise ChangedError(key)

    def latest(self, app: str) -> RunRecord | None:
        """The app's latest run, whatever its phase; None if it never had one."""
        pointer = self.store.read(keys.app_run(app))
        if pointer is None:
            return None
        stored = self.store.read(keys.run_record(json.loads(pointer.body)["run_id"]))
        return RunRecord.from_json(stored.body) if stored else None

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
                record = RunRecord.from_json(stored.body)
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
