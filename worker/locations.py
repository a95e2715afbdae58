"""Where a file that a CSV, a file list or a pipeline names lies in the bucket, and on this disk.

Users write the paths of DCP's container, `/home/ubuntu/bucket/…`, where the bucket is mounted.
In our container the files are downloaded to that same place; elsewhere the paths are moved.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from urllib.request import pathname2url

from chalicelib.contract import BUCKET_MOUNT
from worker.pipeline import Pipeline

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
_FILE_URL = re.compile(r"^file:(?://(?=/))?", re.IGNORECASE)


class OutsideBucket(ValueError):
    """A path that the worker has no way to fetch; says why."""


def container_folder(setting: str, input_folder: str) -> str | None:
    """The folder that a pipeline's directory setting means in the container; None for those
    that inputs aren't read from."""
    choice, _, custom = setting.partition("|")
    default = posixpath.join(BUCKET_MOUNT, input_folder.strip("/"))
    folders = {
        "Default Input Folder": default,
        "Default Input Folder sub-folder": posixpath.join(default, custom),
        "Elsewhere...": custom,
    }
    return folders.get(choice)


@dataclass(frozen=True)
class Places:
    """`mount` is where the bucket's files are on this disk; `input` the job's input folder, a
    key prefix; `base` LoadData's base image location in the container, None where it isn't
    below the bucket."""

    mount: Path
    input: str
    base: str | None

    @classmethod
    def of(cls, mount: Path, input_folder: str, pipeline: Pipeline) -> Places:
        """The places of a job."""
        module = pipeline.load_data
        location = module.get("Base image location") if module else "Default Input Folder|"
        return cls(mount, input_folder.strip("/"), container_folder(location, input_folder))

    @property
    def input_folder(self) -> Path:
        """CellProfiler's default input folder on this disk."""
        return self.mount / self.input

    def key(self, location: str) -> str | None:
        """The key of a path or URL; None for what CellProfiler fetches by itself, or has.

        Raises OutsideBucket.
        """
        path = location
        if _FILE_URL.match(location):
            path = unquote(_FILE_URL.sub("", location))
        elif _SCHEME.match(location):
            return None
        if not path.startswith("/"):
            if self.base is None:
                raise OutsideBucket(
                    "the path is relative, and the pipeline's base image location is no folder "
                    "of the bucket"
                )
            path = posixpath.join(self.base, path)
        path = posixpath.normpath(path)
        if path.startswith(BUCKET_MOUNT + "/"):
            return path[len(BUCKET_MOUNT) + 1 :]
        if Path(path).exists():
            return None
        raise OutsideBucket("the path is not below %s, where the bucket is" % BUCKET_MOUNT)

    def local(self, key: str) -> Path:
        """Where the object `key` belongs on this disk."""
        return self.mount / key


def move(mount: Path, text: str) -> str:
    """A path or URL of the container, as it has to read on this disk, with the bucket at `mount`."""
    url = _FILE_URL.match(text)
    head = url.group(0) if url else ""
    path = text[len(head) :]
    if path != BUCKET_MOUNT and not path.startswith(BUCKET_MOUNT + "/"):
        return text
    there = pathname2url(str(mount)) if url else str(mount)
    return head + there + path[len(BUCKET_MOUNT) :]
