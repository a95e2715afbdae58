"""What a run looks like from outside: its record and its ledger in S3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.contract import DEAD, DONE, SKIPPED, LedgerEntry, ledger_prefix
from chalicelib.contract.groups import job_id, output_folder, parse_group
from chalicelib.core import keys, naming
from chalicelib.core.run import Phase, RunRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Snapshot:
    """One look at a run. `entries` holds, per job id, the outcome that counts so far."""

    run_id: str = ""
    phase: str = ""
    entries: Mapping[str, LedgerEntry] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Jobs whose results are there."""
        return sum(entry.outcome in (DONE, SKIPPED) for entry in self.entries.values())

    @property
    def dead(self) -> int:
        """Jobs given up."""
        return sum(entry.outcome == DEAD for entry in self.entries.values())

    @property
    def finished(self) -> bool:
        """The run is over and torn down."""
        return self.phase == Phase.FINISHED

    def describe(self, total: int) -> str:
        """One line for the user."""
        if not self.run_id:
            return "Waiting for the run to begin"
        given_up = f", {self.dead} given up" if self.dead else ""
        return f"{self.phase.capitalize()}: {self.done} of {total} jobs done{given_up}"


def list_keys(s3: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    """All keys below a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def read_text(s3: "S3Client", bucket: str, key: str) -> str:
    """The content of a small text object."""
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def live_run(s3: "S3Client", bucket: str, app: str) -> str:
    """The id of the app's live run; "" when there is none (yet)."""
    for key in list_keys(s3, bucket, keys.live(f"{app}-")):
        run_id = key.removeprefix(keys.LIVE)
        if naming.app_of(run_id) == app:
            return run_id
    return ""


def look(s3: "S3Client", bucket: str, app: str, run_id: str = "") -> Snapshot:
    """Read the record and the ledger of a run; of the app's live one when no id is given."""
    run_id = run_id or live_run(s3, bucket, app)
    if not run_id:
        return Snapshot()
    try:
        record = RunRecord.from_json(read_text(s3, bucket, keys.run_record(run_id)).encode())
    except s3.exceptions.NoSuchKey:
        return Snapshot()  # the index is written first
    found = map(LedgerEntry.parse, list_keys(s3, bucket, ledger_prefix(run_id)))
    return Snapshot(run_id, record.phase, counting(e for e in found if e), record.notes)


def counting(entries: Iterator[LedgerEntry]) -> dict[str, LedgerEntry]:
    """The entry that counts for each job: done beats dead, which beats a failed attempt."""
    rank = {DONE: 2, SKIPPED: 2, DEAD: 1}
    best: dict[str, LedgerEntry] = {}
    for entry in entries:
        other = best.get(entry.job)
        if other is None or rank.get(entry.outcome, 0) > rank.get(other.outcome, 0):
            best[entry.job] = entry
    return best


def jobs_by_group(job_file: Mapping[str, Any]) -> dict[str, str]:
    """Job ids of a job file with string groups, by the text of the group."""
    ids = {}
    for item in job_file["groups"]:
        group = parse_group(item["Metadata"])
        folder = output_folder(job_file["output"], job_file["output_structure"], group)
        ids[item["Metadata"]] = job_id(job_file["pipeline"], job_file["data_file"], group, folder)
    return ids
