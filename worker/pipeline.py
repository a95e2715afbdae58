"""What a pipeline's text tells before CellProfiler runs it, and what it must not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

from chalicelib import contract
from worker.failures import JobFailure

_MODULE = re.compile(r"^(\w+):\[(.*)\]\s*$")
# Notes come earlier on the line and may hold anything, so the last one counts.
_ENABLED = re.compile(r"\|enabled:(True|False)\|(?!.*\|enabled:)")
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Module:
    """One module: its name, whether it runs, its settings as (text, value) in order."""

    name: str
    enabled: bool
    settings: tuple[tuple[str, str], ...]

    def get(self, text: str, otherwise: str = "") -> str:
        """The first value of a setting."""
        return next((value for key, value in self.settings if key == text), otherwise)

    def get_all(self, text: str) -> list[str]:
        """All values of a setting that is repeated."""
        return [value for key, value in self.settings if key == text]


@dataclass(frozen=True)
class Pipeline:
    """The parts of a `.cppipe` that the worker needs; empty for a project or batch file."""

    modules: tuple[Module, ...] = ()
    module_count: int | None = None

    def enabled(self, name: str) -> list[Module]:
        """The modules of that name that will run."""
        return [module for module in self.modules if module.name == name and module.enabled]

    @property
    def load_data(self) -> Module | None:
        """The LoadData module, if there is one."""
        return next(iter(self.enabled("LoadData")), None)

    @property
    def grouping(self) -> tuple[str, ...] | None:
        """The keys that `-g` has to name; None when the text doesn't tell."""
        found = [
            tuple("Metadata_" + tag for tag in tags)
            for tags in (*self._load_data_tags(), *self._groups_tags())
        ]
        if not self.modules or len(found) > 1:
            return None
        return found[0] if found else ()

    def _load_data_tags(self) -> Iterator[list[str]]:
        for module in self.enabled("LoadData"):
            asked = ("Load images based on this data?", "Group images by metadata?")
            if all(module.get(text) == "Yes" for text in asked):
                tags = module.get("Select metadata tags for grouping")
                yield [tag.strip() for tag in tags.split(",") if tag.strip()]

    def _groups_tags(self) -> Iterator[list[str]]:
        for module in self.enabled("Groups"):
            if module.get("Do you want to group your images?") == "Yes":
                tags = module.get_all("Metadata category")
                yield [tag for tag in tags if tag != "None"]

    @property
    def image_csv(self) -> str:
        """The base name of the per-image CSV that it exports; "" when there is none, or none
        that the text names."""
        for module in self.enabled("ExportToSpreadsheet"):
            name = _image_file(module)
            if name and module.get("Add a prefix to file names?") == "Yes":
                name = module.get("Filename prefix") + name
            if name and "\\g<" not in name:
                return name
        return ""


def _image_file(export: Module) -> str:
    comma = export.get("Select the column delimiter").startswith("Comma")
    automatic = "Image.csv" if comma else "Image.txt"
    if export.get("Export all measurement types?") == "Yes":
        return automatic
    own_name = ""
    what = ""
    for text, value in export.settings:
        if text == "Data to export":
            what = value
        elif text == "File name" and what == "Image":
            own_name = value
        elif text == "Use the object name for the file name?" and what == "Image":
            return automatic if value == "Yes" else own_name
    return ""


def read_pipeline(data: bytes, name: str) -> Pipeline:
    """Parse the bytes of a pipeline file and check what can be checked without CellProfiler.

    Raises JobFailure (cause `pipeline`).
    """
    if data.startswith(_HDF5):
        return Pipeline()
    text = data.decode("utf-8", "replace")
    if not text.startswith("CellProfiler Pipeline:"):
        raise JobFailure(
            contract.PIPELINE,
            "%s is not a CellProfiler pipeline: it doesn't begin with 'CellProfiler Pipeline:'"
            % name,
        )
    pipeline = _parse(text.split("\n"))
    if pipeline.module_count is not None and pipeline.module_count != len(pipeline.modules):
        raise JobFailure(
            contract.PIPELINE,
            "%s is cut off: it announces %d modules and holds %d; upload it again"
            % (name, pipeline.module_count, len(pipeline.modules)),
        )
    if pipeline.enabled("CreateBatchFiles"):
        raise JobFailure(
            contract.PIPELINE,
            "%s has CreateBatchFiles enabled, which makes a batch file instead of measurements; "
            "disable it and upload the pipeline again" % name,
        )
    return pipeline


def _parse(lines: list[str]) -> Pipeline:
    modules: list[Module] = []
    count = None
    head = ""
    settings: list[tuple[str, str]] = []

    def close() -> None:
        if head:
            match = _ENABLED.search(head)
            enabled = match is None or match.group(1) == "True"
            modules.append(Module(head.partition(":")[0], enabled, tuple(settings)))

    for line in lines:
        if _MODULE.match(line):
            close()
            head, settings = line, []
        elif not head and line.startswith("ModuleCount:"):
            number = line.partition(":")[2].strip()
            count = int(number) if number.isdigit() else None
        elif head and line.startswith("    "):
            text, _, value = line[4:].partition(":")
            settings.append((text, value.rstrip("\r")))
    close()
    return Pipeline(tuple(modules), count)
