import subprocess
from pathlib import Path

import pytest

from examples.results import TOLERANCE, measure
from examples.sample import render
from examples.sample.plate import PLATE, SITES
from examples.sample.upload import HERE, load_data_csv

#: The well with the most nuclei, and the most that touch.
WELL = "A01"


@pytest.mark.cellprofiler
def test_cellprofiler_counts_the_rendered_nuclei(cellprofiler: str, tmp_path: Path) -> None:
    images, results = tmp_path / "images", tmp_path / "results"
    output = results / PLATE / WELL
    images.mkdir()
    output.mkdir(parents=True)
    sites = [site for site in SITES if site.well == WELL]
    for site in sites:
        for channel, image in render.render_site(site).items():
            (images / site.file_name(channel)).write_bytes(render.tiff(image))
    data_file = images / "load_data.csv"
    data_file.write_text(load_data_csv(str(images)))

    subprocess.run(
        [
            *(cellprofiler, "-c", "-r", "-p", str(HERE / "sample.cppipe")),
            *("-i", str(images), "-o", str(output), f"--data-file={data_file}"),
            *("-g", f"Metadata_Plate={PLATE},Metadata_Well={WELL}"),
        ],
        check=True,
        capture_output=True,
        timeout=240,
    )

    pictures = {f"{WELL}_s{site.site}_outlines.png" for site in sites}
    assert {path.name for path in output.iterdir()} == {
        *("Image.csv", "Nuclei.csv", "Cells.csv"),
        *pictures,
    }
    (result,) = (result for result in measure(results, {}) if result.well == WELL)
    assert result.difference is not None
    assert abs(result.difference) <= TOLERANCE
    assert result.mean_area is not None
    assert 300 < result.mean_area < 600  # pixels, for a mean radius of 11.5
