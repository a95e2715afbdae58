import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from examples.sample import render
from examples.sample.plate import CHANNELS, SHAPE, SITES, Site, nuclei_in, wells

CROWDED, SPARSE = SITES[0], SITES[-1]


def test_the_same_seed_gives_the_same_images() -> None:
    first, second = render.render_site(SPARSE), render.render_site(SPARSE)
    assert all(np.array_equal(first[channel], second[channel]) for channel in CHANNELS)


def test_seeds_and_sites_differ() -> None:
    image = render.render_site(SPARSE)["DNA"]
    assert not np.array_equal(image, render.render_site(SPARSE, seed=1)["DNA"])
    other_site = Site(SPARSE.well, 1, SPARSE.nuclei, SPARSE.nuclear_scale)
    assert not np.array_equal(image, render.render_site(other_site)["DNA"])


def test_every_channel_is_16_bit_and_not_saturated() -> None:
    images = render.render_site(CROWDED)
    assert tuple(images) == CHANNELS
    for image in images.values():
        assert image.shape == SHAPE
        assert image.dtype == np.dtype(np.uint16)
        assert 0 < image.min() < 1000
        assert 5000 < image.max() < 65535


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{site.well}-{site.site}")
def test_the_truth_is_what_was_placed(site: Site) -> None:
    nuclei = render.place_nuclei(render.generator(site), site.nuclei, site.nuclear_scale)
    assert len(nuclei) == site.nuclei
    for nucleus in nuclei:
        clearance = min(nucleus.y, nucleus.x, SHAPE[0] - nucleus.y, SHAPE[1] - nucleus.x)
        assert clearance > nucleus.long


def test_each_nucleus_shines_in_the_dna_channel() -> None:
    image = render.render_site(CROWDED)["DNA"]
    nuclei = render.place_nuclei(render.generator(CROWDED), CROWDED.nuclei, CROWDED.nuclear_scale)
    centres = np.array([image[round(nucleus.y), round(nucleus.x)] for nucleus in nuclei])
    assert centres.min() > 4 * np.median(image)


def test_a_few_nuclei_touch_and_none_overlap() -> None:
    touching = 0
    for site in SITES:
        nuclei = render.place_nuclei(render.generator(site), site.nuclei, site.nuclear_scale)
        for place, nucleus in enumerate(nuclei):
            for other in nuclei[place + 1 :]:
                apart = float(np.hypot(nucleus.y - other.y, nucleus.x - other.x))
                touching += apart < 40
                assert apart > nucleus.short + other.short - 1e-9
    assert 10 <= touching <= 60


def test_tiff_holds_the_image() -> None:
    image = render.render_site(SPARSE)["Actin"]
    content = render.tiff(image)
    assert content == render.tiff(image)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        assert len(file.pages) == 1
        assert np.array_equal(file.asarray(), image)


def test_command_writes_the_plate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "SITES", (SPARSE,))
    assert render.main([str(tmp_path / "plate")]) == 0
    names = {path.name for path in (tmp_path / "plate").iterdir()}
    assert names == {SPARSE.file_name(channel) for channel in CHANNELS} | {"truth.csv"}
    truth = (tmp_path / "plate" / "truth.csv").read_text()
    assert truth == f"well,site,nuclei\n{SPARSE.well},{SPARSE.site},{SPARSE.nuclei}\n"
    assert "1 sites" in capsys.readouterr().out


def test_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


def test_wells_differ_in_number() -> None:
    counts = [nuclei_in(well) for well in wells()]
    assert len(counts) == 6
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 6
