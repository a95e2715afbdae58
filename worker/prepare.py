"""From a job message to a CellProfiler command: pipeline, data file, and the inputs to fetch."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

from chalicelib import contract
from chalicelib.contract.groups import format_group
from worker.check import Expected
from worker.datafile import Held
from worker.engine import Command
from worker.environment import Environment
from worker.failures import JobFailure
from worker.inputs import Wanted, download
from worker.locations import OutsideBucket, Places, container_folder
from worker.pipeline import Module, Pipeline, read_pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Modules whose file names are not inputs, or are found by other means.
_NOT_READERS = frozenset(("LoadData", "ExportToSpreadsheet", "ExportToDatabase", "SaveImages"))


@dataclass(frozen=True)
class Folder:
    """A job's own folder on this disk."""

    path: Path

    @property
    def output(self) -> Path:
        """CellProfiler's default output folder: what is in it is published."""
        return self.path / "output"

    @property
    def temporary(self) -> Path:
        return self.path / "temporary"

    @property
    def files(self) -> Path:
        """The job's copies of pipeline and data file."""
        return self.path / "files"

    def make(self) -> None:
        for folder in (self.output, self.temporary, self.files):
            folder.mkdir(parents=True)


@dataclass(frozen=True)
class Prepared:
    """What to fetch, what to run then, and what to expect of it."""

    wanted: tuple[Wanted, ...]
    command: Command
    expected: Expected


def prepare(
    s3: S3Client,
    data_files: Held,
    environment: Environment,
    message: contract.JobMessage,
    folder: Folder,
) -> Prepared:
    """Fetch pipeline and data file, and find what else the job needs. Raises JobFailure."""
    kind = posixpath.splitext(message.data_file)[1].lower()
    if kind not in (".csv", ".txt", ".h5"):
        raise JobFailure(
            contract.INPUT,
            "data_file is %s; expected a LoadData .csv, a file list .txt or a batch file .h5"
            % message.data_file,
        )
    if environment.use_plugins and environment.plugins is None:
        raise JobFailure(
            contract.PLUGIN,
            "USE_PLUGINS is 'True', but this image has no folder %s"
            % (environment.root / "CellProfiler-plugins"),
        )
    preparation = _Preparation(s3, data_files, environment, message, folder)
    if kind == ".csv":
        return preparation.with_csv()
    return preparation.with_list() if kind == ".txt" else preparation.with_batch_file()


class _Preparation:
    """The steps that the kinds of data file share, and those that they don't."""

    def __init__(
        self,
        s3: S3Client,
        data_files: Held,
        environment: Environment,
        message: contract.JobMessage,
        folder: Folder,
    ):
        self.s3 = s3
        self.data_files = data_files
        self.environment = environment
        self.message = message
        self.folder = folder
        self.pipeline_path = self._fetch(message.pipeline, "pipeline")
        data = self.pipeline_path.read_bytes()
        self.pipeline = read_pipeline(data, message.pipeline)
        self.places = Places.of(environment.mount, message.input, self.pipeline)
        mount = str(environment.mount)
        if self.pipeline.modules and mount != contract.BUCKET_MOUNT:
            moved = data.replace(contract.BUCKET_MOUNT.encode(), mount.encode())
            self.pipeline_path.write_bytes(moved)

    def with_csv(self) -> Prepared:
        """A LoadData CSV: the files of the group's rows."""
        keys, grouping = [key for key, _ in self.message.group], self.pipeline.grouping
        if grouping is not None and set(keys) != set(grouping):
            raise JobFailure(
                contract.PIPELINE,
                "The job's group names %s, but %s groups by %s; they have to be the same"
                % (", ".join(keys), self.message.pipeline, ", ".join(grouping) or "nothing"),
            )
        name = self.message.data_file
        data_file = self.data_files.get(self.environment.workspace_bucket, name)
        module = self.pipeline.load_data
        selection = data_file.select(self.message.group, _row_range(module))
        loads_images = module is None or module.get("Load images based on this data?") != "No"
        wanted = [
            self._wanted(image.location, "%s, %s" % (name, image))
            for image in (selection.images if loads_images else ())
        ]
        return self._prepared(
            [item for item in wanted if item],
            data_file=data_file.path,
            group=format_group(self.message.group),
            image_sets=selection.image_sets,
        )

    def with_list(self) -> Prepared:
        """A file list: all its files. DCP never named the group to CellProfiler here, so it is
        named only to a pipeline that groups by just these keys."""
        path = self._fetch(self.message.data_file, "data file")
        wanted, lines = [], []
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            location = line.strip()
            if location:
                what = "%s, line %d: %s" % (self.message.data_file, number, location)
                item = self._wanted(location, what)
                wanted += [item] if item else []
                lines.append(str(item.path) if item else location)
        path.write_text("".join(line + "\n" for line in lines), "utf-8")
        grouped = set(self.pipeline.grouping or ()) == {key for key, _ in self.message.group}
        group = format_group(self.message.group) if grouped else ""
        return self._prepared(wanted, file_list=path, group=group)

    def with_batch_file(self) -> Prepared:
        """A batch file is the pipeline, and says itself where its images are."""
        return self._prepared([], group=format_group(self.message.group))

    def _prepared(
        self,
        wanted: list[Wanted],
        group: str,
        data_file: Path | None = None,
        file_list: Path | None = None,
        image_sets: int | None = None,
    ) -> Prepared:
        environment = self.environment
        self.places.input_folder.mkdir(parents=True, exist_ok=True)
        command = Command(
            executable=environment.cellprofiler,
            pipeline=self.pipeline_path,
            input=self.places.input_folder,
            output=self.folder.output,
            done=self.folder.path / "done",
            temporary=self.folder.temporary,
            data_file=data_file,
            file_list=file_list,
            group=group,
            always_continue=environment.always_continue,
            plugins=environment.plugins if environment.use_plugins else None,
            cold=self._cold(data_file),
        )
        expected = Expected(image_sets, self.pipeline.image_csv, environment.always_continue)
        aids = (
            self._wanted(path, "the pipeline")
            for path in named_files(self.pipeline, self.message.input)
        )
        optional = tuple(replace(item, optional=True) for item in aids if item)
        return Prepared((*wanted, *optional), command, expected)

    def _cold(self, data_file: Path | None) -> str:
        """Why a warm CellProfiler isn't for the job; "" if the worker sees no reason."""
        if self.environment.engine == contract.COLD:
            return "ENGINE is '%s'" % contract.COLD
        if data_file is None:
            return "its data file is no CSV"
        return "it uses plugins" if self.environment.use_plugins else ""

    def _fetch(self, key: str, what: str) -> Path:
        """A copy of the job's own: another job may have another version of the same key."""
        path = self.folder.files / what.replace(" ", "-") / posixpath.basename(key)
        download(self.s3, Wanted(self.environment.workspace_bucket, key, path, "The " + what))
        return path

    def _wanted(self, location: str, what: str) -> Wanted | None:
        try:
            key = self.places.key(location)
        except OutsideBucket as error:
            raise JobFailure(contract.INPUT, "%s: %s" % (what, error)) from error
        if key is None:
            return None
        return Wanted(self.environment.source_bucket, key, self.places.local(key), what)


def named_files(pipeline: Pipeline, input_folder: str) -> Iterator[str]:
    """Paths, in the container, of files that modules name themselves: rules, masks, models.

    Whether such a file exists only S3 knows.
    """
    for module in pipeline.modules:
        if not module.enabled or module.name in _NOT_READERS:
            continue
        folders = {container_folder(value, input_folder) for _, value in module.settings}
        for text, name in module.settings:
            is_name = "file" in text.lower() and "." in name and not set(name) & set("|/\\<")
            if is_name:
                for folder in folders - {None}:
                    path = posixpath.normpath(posixpath.join(str(folder), name))
                    if path.startswith(contract.BUCKET_MOUNT + "/"):
                        yield path


def _row_range(load_data: Module | None) -> tuple[int, int] | None:
    """The rows to which the pipeline restricts LoadData."""
    if load_data is None or load_data.get("Process just a range of rows?") != "Yes":
        return None
    first, _, last = load_data.get("Rows to process").partition(",")
    return (int(first), int(last)) if first.isdigit() and last.isdigit() else None
