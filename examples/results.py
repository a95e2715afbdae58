"""What came out of the sample plate: downloads, counts per well, and a page to look at."""

import csv
import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.table import Table

from examples.following import list_keys
from examples.sample.plate import PLATE, nuclei_in, wells

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How far a well's count may be from the truth, as a share of it.
TOLERANCE = 0.10


@dataclass(frozen=True)
class WellResult:
    """One well: nuclei found and rendered (both sites), their mean area in pixels, and the
    wall time of its job in seconds; None for what isn't known."""

    well: str
    rendered: int
    found: int | None = None
    mean_area: float | None = None
    seconds: int | None = None

    @property
    def difference(self) -> float | None:
        """(found - rendered) / rendered."""
        return None if self.found is None else (self.found - self.rendered) / self.rendered

    @property
    def good(self) -> bool:
        """Found, and within the tolerance."""
        return self.difference is not None and abs(self.difference) <= TOLERANCE

    @property
    def problem(self) -> str:
        """What is wrong with a well that isn't good."""
        if self.found is None:
            return f"well {self.well}: no Nuclei.csv came out of it"
        return (
            f"well {self.well}: {self.found} nuclei found, {self.rendered} rendered; "
            f"expected within {TOLERANCE:.0%}"
        )


def download(s3: "S3Client", bucket: str, prefix: str, folder: Path) -> list[Path]:
    """Fetch everything below `prefix/` into the folder; the files, in the order of their keys."""
    files = []
    for key in list_keys(s3, bucket, f"{prefix}/"):
        path = folder / key.removeprefix(f"{prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(path))
        files.append(path)
    return files


def measure(folder: Path, seconds: Mapping[str, int]) -> list[WellResult]:
    """Read each well's `Nuclei.csv` below the folder; `seconds` by well."""
    return [_measure_well(folder / PLATE / well, well, seconds.get(well)) for well in wells()]


def _measure_well(folder: Path, well: str, seconds: int | None) -> WellResult:
    table = folder / "Nuclei.csv"
    if not table.exists():
        return WellResult(well, nuclei_in(well), seconds=seconds)
    with table.open(newline="", encoding="utf-8") as lines:
        areas = [float(row["AreaShape_Area"]) for row in csv.DictReader(lines)]
    mean_area = fmean(areas) if areas else None
    return WellResult(well, nuclei_in(well), len(areas), mean_area, seconds)


def well_table(results: Iterable[WellResult]) -> Table:
    """The results for a terminal, a row per well."""
    table = Table("Well", title=f"{PLATE} plate")
    for heading in ("Nuclei found", "Rendered", "Difference", "Mean area, px", "Seconds"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.well,
            _number(result.found),
            str(result.rendered),
            _number(result.difference, "+.1%"),
            _number(result.mean_area, ".0f"),
            _number(result.seconds),
            style="" if result.good else "red",
        )
    return table


def _number(value: float | None, form: str = "") -> str:
    return "none" if value is None else format(value, form)


def contact_sheet(results: Iterable[WellResult], folder: Path) -> Path:
    """Write `index.html`: the outlines that CellProfiler drew, well by well."""
    figures = "\n".join(_figure(result, folder) for result in results)
    page = folder / "index.html"
    page.write_text(_PAGE.format(plate=html.escape(PLATE), figures=figures), encoding="utf-8")
    return page


def _figure(result: WellResult, folder: Path) -> str:
    pictures = sorted((folder / PLATE / result.well).glob("*_outlines.png"))
    images = "".join(
        f'<a href="{name}"><img src="{name}" alt="{name}" loading="lazy"></a>'
        for name in (html.escape(str(picture.relative_to(folder))) for picture in pictures)
    )
    found = "no result" if result.found is None else f"{result.found} nuclei"
    caption = f"<b>{html.escape(result.well)}</b> {found}, {result.rendered} rendered"
    return f"<figure>{images}<figcaption>{caption}</figcaption></figure>"


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{plate} plate</title>
<style>
  body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem; background: #111; color: #eee; }}
  main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 1.5rem; }}
  figure {{ margin: 0; }}
  img {{ width: 50%; display: inline-block; }}
</style>
<h1>{plate} plate</h1>
<p>Mitochondria red, actin green, DNA blue; outlines: nuclei white, cells yellow.</p>
<main>
{figures}
</main>
</html>
"""
