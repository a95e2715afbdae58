"""What the runs analyse: small rendered plates, and made-up ones for the stand-in CellProfiler."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib.contract import BUCKET_MOUNT
from examples.sample import render
from examples.sample.plate import CHANNELS, Site
from examples.sample.upload import HERE
from tests.e2e.outside import DEAD_LETTERS

#: Height and width of the images, in pixels: a corner of the sample's.
SIZE = 256
STAND_IN = Path(__file__).parent / "data" / "fake_cellprofiler.py"


@cache
def images(well: str) -> Mapping[str, bytes]:
    """TIFFs of one site, by channel; the same for the same well."""
    site = render.render_site(Site(well=well, site=1, nuclei=60, nuclear_scale=1.0))
    return {channel: render.tiff(image[:SIZE, :SIZE]) for channel, image in site.items()}


def pipeline(grouping: str = "Plate,Well") -> bytes:
    """The sample's pipeline, with its sites grouped by other metadata."""
    text = (HERE / "sample.cppipe").read_text(encoding="utf-8")
    grouped = text.replace("for grouping:Plate,Well", f"for grouping:{grouping}")
    assert grouping in grouped
    return grouped.encode()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def load_data(
    metadata: Sequence[str], rows: Mapping[tuple[str, ...], Mapping[str, str]], folder: str
) -> bytes:
    """A LoadData CSV as for DCP's container: per row its metadata, and file names by channel."""
    channels = list(next(iter(rows.values())))
    header = [f"Metadata_{name}" for name in metadata]
    header += [f"{kind}_{channel}" for channel in channels for kind in ("FileName", "PathName")]
    place = f"{BUCKET_MOUNT}/{folder}"
    return table(
        header,
        ([*values, *_files(names.values(), place)] for values, names in rows.items()),
    )


def _files(names: Iterable[str], place: str) -> Iterator[str]:
    for name in names:
        yield from (name, place)


def config(app: str, bucket: str, **changes: Any) -> dict[str, Any]:
    """A configuration of an app that needs one small machine."""
    keys = {
        "APP_NAME": app,
        "AWS_BUCKET": bucket,
        "CLUSTER_MACHINES": 1,
        "TASKS_PER_MACHINE": 1,
        "DOCKER_CORES": 2,
        "MACHINE_TYPE": ["m5.xlarge"],
        "MEMORY": 7500,
        "SECONDS_TO_START": 0,
        "SQS_DEAD_LETTER_QUEUE": DEAD_LETTERS,
        "JOB_RETRIES": 3,
        "DOWNLOAD_FILES": "True",
        "AUTO_MONITOR": "True",
        "CREATE_DASHBOARD": "True",
        "CLEAN_DASHBOARD": "True",
    }
    return {**keys, **changes}


def job_file(project: str, wells: Iterable[str], **keys: Any) -> dict[str, Any]:
    """A job file for wells of plate P1 of a project, which has the usual folders."""
    return {
        "pipeline": f"{project}/workspace/pipeline.cppipe",
        "data_file": f"{project}/workspace/load_data.csv",
        "input": f"{project}/workspace/",
        "output": f"{project}/output",
        "output_structure": "Metadata_Plate/Metadata_Well",
        "groups": [{"Metadata": f"Metadata_Plate=P1,Metadata_Well={well}"} for well in wells],
        **keys,
    }


def rendered_plate(project: str, wells: Sequence[str]) -> dict[str, bytes]:
    """Objects of a project that the real CellProfiler can run, a site for each well."""
    names: dict[tuple[str, ...], dict[str, str]] = {
        ("P1", well, "1"): {channel: f"{well} {channel}.tif" for channel in CHANNELS}
        for well in wells
    }
    return {
        f"{project}/workspace/pipeline.cppipe": pipeline(),
        f"{project}/workspace/load_data.csv": load_data(
            ("Plate", "Well", "Site"), names, f"{project}/images"
        ),
        **{
            f"{project}/images/{well} {channel}.tif": content
            for well in wells
            for channel, content in images(well).items()
        },
    }


def made_up_plate(project: str, wells: Sequence[str]) -> dict[str, bytes]:
    """Objects of a project for the stand-in: each image tells project and well."""
    names: dict[tuple[str, ...], dict[str, str]] = {
        ("P1", well): {"DNA": f"{well}.img"} for well in wells
    }
    return {
        f"{project}/workspace/pipeline.cppipe": pipeline(),
        f"{project}/workspace/load_data.csv": load_data(
            ("Plate", "Well"), names, f"{project}/images"
        ),
        **{f"{project}/images/{well}.img": f"{project} {well}".encode() for well in wells},
    }


def made_up_result(project: str, well: str) -> bytes:
    """The image table that the stand-in makes of a well."""
    content = sha256(f"{project} {well}".encode()).hexdigest()
    header = ("ImageNumber", "FileName_DNA", "Content_DNA")
    return table(header, [("1", f"{well}.img", content)])


@dataclass(frozen=True)
class StandIn:
    """A CellProfiler that is a script; `folder` holds it and what it writes down."""

    folder: Path

    def install(self) -> str:
        """Its executable."""
        path = self.folder / "cellprofiler"
        path.write_text(f"#!{sys.executable}\n" + STAND_IN.read_text(encoding="utf-8"))
        path.chmod(0o755)
        return str(path)

    def hold(self, *wells: str) -> None:
        """Let the groups of these wells take for ever."""
        for well in wells:
            (self.folder / f"hold-{well}").touch()

    def release(self, *wells: str) -> None:
        """Let the groups of these wells end; of all, if none is named."""
        for path in [self.folder / f"hold-{well}" for well in wells] or self.folder.glob("hold-*"):
            path.unlink()

    def runs(self) -> list[str]:
        """The wells that it was started for, in order."""
        path = self.folder / "runs.txt"
        return path.read_text().split() if path.exists() else []
