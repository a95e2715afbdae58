"""A job file in a bucket, of which a submission is made."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from chalicelib.contract.groups import submission_id


class Upload(BaseModel):
    """A job file in a bucket. `version` tells uploads of one key apart: S3's version id, or
    the event's sequencer where the bucket keeps no versions. `start`: machines are wanted too."""

    model_config = ConfigDict(frozen=True)

    app: str
    name: str
    bucket: str
    key: str
    version: str = ""
    sequencer: str = ""
    #: Of the bytes that were uploaded, as the event tells it; "" if it doesn't.
    etag: str = ""
    start: bool = True
    #: The run that named this job file as its next step, "" if a user sent it; and the how-manieth
    #: of its chain it is.
    follows: str = ""
    step: int = 1
    #: What the file was when that run was accepted, as an ETag.
    accepted: str = ""

    @property
    def submission(self) -> str:
        return submission_id(self.bucket, self.key, self.version or self.sequencer)
