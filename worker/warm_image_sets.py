"""The image sets of a data file, prepared once. Runs in CellProfiler's process (`warm_process`).

They are prepared by CellProfiler itself, from all of the file's rows: so the columns' types, the
image numbers and the groups are those of the whole file, and what a job costs doesn't grow with it.
They are kept in a file beside the data file, which the container's slots share. A job then takes the
image sets of its group.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import traceback
from pathlib import Path
from typing import Any

#: Data files whose image sets stay open: jobs of two steps may be mixed in one queue.
KEPT = 2
# Modules that prepare nothing that counts for a run: a word in the log, or a look for files that a
# new output folder can't hold.
_HARMLESS = ("ExportToSpreadsheet", "MeasureImageQuality")


class Unsuited(Exception):
    """The job has to be run by the command line; says why. Nothing has been done yet."""


def load(path: str, prepared: bool = False) -> Any:
    """The pipeline at a path; `prepared` if its image sets are there before it runs."""
    from cellprofiler_core.pipeline import Pipeline

    class Prepared(Pipeline):  # type: ignore[misc]
        """No module of it does anything that counts in `prepare_run`: see `unsuited`."""

        def prepare_run(self, workspace: Any, **_: Any) -> bool:
            self.write_experiment_measurements(workspace.measurements)
            return True

    pipeline = Prepared() if prepared else Pipeline()
    pipeline.load(path)
    return pipeline


def unsuited(pipeline: Any) -> str:
    """Why a pipeline can't be run on image sets that were prepared before; "" if it can."""
    from cellprofiler_core.module import Module

    modules = pipeline.modules()
    if not modules or modules[0].module_name != "LoadData":
        return "the pipeline doesn't begin with LoadData"
    load_data = modules[0]
    if not (load_data.wants_images.value and load_data.wants_image_groupings.value):
        return "its LoadData doesn't load and group images"
    if "Output" in load_data.image_directory.dir_choice:
        return "its LoadData takes images from the output folder"
    for module in modules[1:]:
        graphs = getattr(module, "wants_objskeleton_graph", None)
        harmless = module.module_name in _HARMLESS or (graphs is not None and not graphs.value)
        if type(module).prepare_run is not Module.prepare_run and not harmless:
            return "%s prepares itself for all image sets at once" % module.module_name
        if module.module_name == "ExportToSpreadsheet" and _names_the_experiment(module):
            return "it names the experiment's table after the metadata of the first image set"
    return ""


def _names_the_experiment(export: Any) -> bool:
    """Whether a table of the experiment has metadata in its name: those of image set 1, which may
    be of another group."""
    texts = [export.directory.custom_path] if export.directory.is_custom_choice else []
    tables = [group for group in export.object_groups if group.name.value == "Experiment"]
    if not export.wants_everything.value:
        texts += [table.file_name.value for table in tables]
    exported = bool(tables) or export.wants_everything.value
    return exported and any("\\g<" in text or "(?<" in text for text in texts)


def get(job: dict[str, Any], kept: dict[str, ImageSets]) -> ImageSets:
    """The image sets of the job's data file, as the job's pipeline sees them. Raises Unsuited."""
    from cellprofiler_core.modules import loaddata

    digest = hashlib.sha256(Path(job["pipeline"]).read_bytes())
    digest.update(("\0" + job["input"]).encode("utf-8", "surrogateescape"))
    path = "%s.%s.h5" % (job["data_file"], digest.hexdigest()[:20])
    found = kept.pop(path, None) or _prepared(job, path)
    kept[path] = found
    while len(kept) > KEPT:
        kept.pop(next(iter(kept))).close()
    # LoadData's own memory of the file: without, it would read all rows to know their types.
    loaddata.header_cache.clear()
    loaddata.header_cache[job["data_file"]] = dict(found.header)
    return found


def _prepared(job: dict[str, Any], path: str) -> ImageSets:
    """The image sets in a file, which the first process that needs it makes."""
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            partial = path + ".part"
            try:
                _prepare(job, partial)
            except Unsuited:
                raise
            except Exception as error:
                traceback.print_exc()
                raise Unsuited("its image sets couldn't be prepared (%s)" % error) from error
            os.rename(partial, path)
    return ImageSets(path)


def _prepare(job: dict[str, Any], path: str) -> None:
    """Have CellProfiler prepare all image sets of the data file, and write them to `path`."""
    from cellprofiler_core.image import ImageSetList
    from cellprofiler_core.measurement import Measurements
    from cellprofiler_core.modules import loaddata
    from cellprofiler_core.workspace import Workspace

    loaddata.header_cache.clear()
    pipeline = load(job["pipeline"])
    reason = unsuited(pipeline)
    if reason:
        raise Unsuited(reason)
    measurements = Measurements(image_set_start=1)
    try:
        workspace = Workspace(pipeline, None, None, None, measurements, ImageSetList(), None)
        if not pipeline.prepare_run(workspace, end_module=(*pipeline.modules(), None)[1]):
            raise Unsuited("CellProfiler makes no image sets of its data file")
        keys, groupings = pipeline.get_groupings(workspace)
        groups = [[dict(values), [int(n) for n in numbers]] for values, numbers in groupings]
        header = loaddata.header_cache[job["data_file"]]
        told = {"keys": list(keys), "groups": groups, "header": header}
        _write(path, measurements.hdf5_dict.top_group, told)
    finally:
        measurements.close()


def _write(path: str, source: Any, told: dict[str, Any]) -> None:
    """Write a value for each feature and image number, in order, and what is told of them all.
    Raises Unsuited for what LoadData doesn't make."""
    import h5py
    import numpy

    if set(source) != {"Experiment", "Image"}:
        raise Unsuited("its LoadData makes more than image sets")
    with h5py.File(path, "w") as file:
        source.copy("Experiment", file)
        image = file.create_group("Image")
        for feature, values in source["Image"].items():
            index = values["index"][:] if "index" in values else numpy.zeros((0, 3), int)
            index = index[numpy.argsort(index[:, 0])]
            whole = numpy.array_equal(index[:, 0], numpy.arange(1, len(index) + 1))
            if not len(index) or not whole or (index[:, 2] - index[:, 1] != 1).any():
                raise Unsuited("some image sets have no value for %s" % feature)
            data = values["data"]
            image.create_dataset(feature, data=data[:][index[:, 1]], dtype=data.dtype)
        text = json.dumps(told).encode("utf-8")
        file.create_dataset("told", data=numpy.frombuffer(text, numpy.uint8))


class ImageSets:
    """All image sets of a data file, as a pipeline's LoadData prepared them. `header` is what
    LoadData remembers of the file."""

    def __init__(self, path: str):
        import h5py

        self._file = h5py.File(path, "r")
        told = json.loads(self._file["told"][:].tobytes().decode("utf-8"))
        self._keys: list[str] = told["keys"]
        self._numbers: dict[frozenset[Any], list[int]] = {
            frozenset(values.items()): numbers for values, numbers in told["groups"]
        }
        self.header: dict[str, Any] = told["header"]
        columns = self.header.get("measurement_columns", [])
        self.header["measurement_columns"] = [tuple(column) for column in columns]

    def of_group(self, group: dict[str, str]) -> Any:
        """Measurements that hold the image sets of one group alone, for a run to fill.

        Raises Unsuited where the command line wouldn't run either.
        """
        import numpy
        from cellprofiler_core.measurement import Measurements

        numbers = sorted(self._numbers.get(frozenset(group.items()), ()))
        if set(group) != set(self._keys) or not numbers:
            raise Unsuited("no image set is of the job's group")
        count, places = len(numbers), numpy.arange(len(numbers))
        together = numbers[-1] - numbers[0] == count - 1
        rows = slice(numbers[0] - 1, numbers[-1]) if together else numpy.array(numbers) - 1
        index = numpy.column_stack([numbers, places, places + 1])
        image = {
            feature: {"index": index, "data": numpy.array(values[rows], dtype=values.dtype)}
            for feature, values in self._file["Image"].items()
        }
        source = {"Experiment": self._file["Experiment"], "Image": image}
        return Measurements(image_set_start=1, copy=source, image_numbers=numbers)

    def close(self) -> None:
        """Close the file, which may have been removed."""
        self._file.close()
