"""What requests hold: one model for each body, and for each query."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib.contract import CAUSES

#: Results a page may hold.
MOST = 100

Keys = dict[str, Any]
JobId = Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]
Cause = Annotated[str, Field(pattern=f"^({'|'.join(sorted(CAUSES))})$")]


class Ask(BaseModel):
    """A body: nothing but what is named, of exactly its type."""

    # Built when first used: a request uses few of the models.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Query(BaseModel):
    """A query: nothing but what is named, each once."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ConfigAsk(Ask):
    """A configuration: its keys, or the text of a file."""

    config: Keys | None = Field(default=None, description="DCP's keys, as JSON values.")
    source: Annotated[str, Field(max_length=65_536)] | None = Field(
        default=None, description="The text of a config.py, or of a JSON or TOML file."
    )
    form: Literal["py", "json", "toml"] = Field(default="py", description="What `source` is.")


class ValidateAsk(ConfigAsk):
    """A configuration to be looked at."""

    @model_validator(mode="after")
    def _one(self) -> ValidateAsk:
        if (self.config is None) == (self.source is None):
            raise ValueError("one of `config` and `source` must be given")
        return self


class SetupAsk(ConfigAsk):
    """What to set up an app with. Without a configuration, the one that was set up last."""

    fleet: Keys | None = Field(default=None, description="A DCP fleet file.")
    adopt: bool = Field(default=False, description="Take over what DCP left under these names.")

    @model_validator(mode="after")
    def _one(self) -> SetupAsk:
        if self.config is not None and self.source is not None:
            raise ValueError("one of `config` and `source` must be given, not both")
        return self


class UploadAsk(Ask):
    """A job file that is to be uploaded."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The file's name, without .json."
    )


class StartAsk(Ask):
    """How to start machines."""

    fleet: Keys | None = Field(
        default=None, description="A DCP fleet file. Without one: the account's settings."
    )


class StopAsk(Ask):
    """Nothing: a stop is a stop."""


class ScaleAsk(Ask):
    """How many machines there may be."""

    machines: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        description="At most so many; null: as many as CLUSTER_MACHINES says."
    )


class MonitorAsk(Ask):
    """How to look after a run."""

    cheapest: bool = Field(
        default=False,
        description="From 15 minutes after the start, new machines come one at a time.",
    )


class RedriveAsk(Ask):
    """Which dead jobs to send again: all, or those that are named."""

    jobs: Annotated[list[JobId], Field(min_length=1, max_length=5_000)] | None = Field(
        default=None, description="Job ids, as in the run's failures."
    )
    causes: Annotated[list[Cause], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="Causes of failure."
    )


class JobsQuery(Query):
    """How to take a job file."""

    name: str = Field(
        default="job",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="What the job file is called in messages.",
    )
    start: bool = Field(default=True, description="Ask for machines too.")


class RunsQuery(Query):
    """Which runs to list."""

    app: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$", description="Of this app only."
    )
    live: bool = Field(default=False, description="Only runs that haven't finished.")
    limit: int = Field(default=20, ge=1, le=MOST)
    after: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}-[0-9]{8}T[0-9]{6}[0-9a-f]{4}$",
        description="`next` of the page before.",
    )


class FailuresQuery(Query):
    """Which failures to list."""

    outcome: Literal["dead", "failed"] | None = Field(
        default=None,
        description="dead: given up; failed: tried again. Without it, both.",
    )
    limit: int = Field(default=20, ge=1, le=MOST)
    after: str | None = Field(
        default=None,
        pattern=r"^[0-9]{8}T[0-9]{4}/[0-9a-z.-]{1,200}$",
        description="`next` of the page before.",
    )
