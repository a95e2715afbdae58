"""Renders the sample plate: fluorescence images whose number of nuclei is known.

    python -m examples.sample.render FOLDER

writes one 16-bit greyscale TIFF per well, site and channel, and `truth.csv`
(well, site, nuclei). The same seed gives the same images.

A site is rendered as a microscope would see it: nuclei (textured ellipses, some of them in
touching pairs) and cell bodies around them make light; the lamp is brighter in the middle
of the field; the optics blur; the camera adds shot noise, read noise and an offset.
All nuclei keep clear of the border, so that every one of them can be found.
"""

import csv
import io
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from examples.sample.plate import CHANNELS, SHAPE, SITES, Site

SEED = 20240229

Image = npt.NDArray[np.float64]

#: No centre is nearer to the border than this, in pixels.
_BORDER = 34
#: Nuclei that don't touch are at least this far apart, centre to centre, in pixels.
_SPACING = 46
#: The share of nuclei that have a touching partner.
_PAIRED = 0.12
_OPTICS_BLUR = 1.2
_HALO_BLUR = 22.0
_PHOTON_GAIN = 14.0
_CAMERA_OFFSET = 400.0
_READ_NOISE = 30.0


@dataclass(frozen=True)
class Nucleus:
    """An ellipse; lengths in pixels, angle in radians, brightness relative to the mean."""

    y: float
    x: float
    long: float
    short: float
    angle: float
    brightness: float

    def reach(self, direction: float) -> float:
        """Distance from the centre to the edge in a direction, in pixels."""
        turned = direction - self.angle
        return (self.long * self.short) / math.hypot(
            self.short * math.cos(turned), self.long * math.sin(turned)
        )


def render_site(site: Site, seed: int = SEED) -> dict[str, npt.NDArray[np.uint16]]:
    """The images of one site by channel, each `plate.SHAPE`, 16-bit."""
    rng = generator(site, seed)
    nuclei = place_nuclei(rng, site.nuclei, site.nuclear_scale)
    light = {channel: np.zeros(SHAPE) for channel in CHANNELS}
    for nucleus in nuclei:
        _add_cell(light, rng, nucleus, [other for other in nuclei if other is not nucleus])
    haze = {"DNA": 45.0, "Actin": 60.0, "Mito": 50.0}
    return {channel: _expose(light[channel], haze[channel], rng) for channel in CHANNELS}


def generator(site: Site, seed: int = SEED) -> np.random.Generator:
    """The random numbers of one site, independent of every other site's."""
    return np.random.default_rng([seed, *site.well.encode(), site.site])


def place_nuclei(rng: np.random.Generator, count: int, scale: float) -> list[Nucleus]:
    """`count` nuclei, apart from one another but for some touching pairs."""
    placed: list[Nucleus] = []
    while len(placed) < count:
        nucleus = _somewhere(rng, scale)
        if not _is_free(nucleus, placed):
            continue
        placed.append(nucleus)
        if len(placed) < count and rng.random() < _PAIRED:
            partner = _beside(rng, nucleus, scale)
            if _inside(partner) and _is_free(partner, placed[:-1]):
                placed.append(partner)
    return placed


def _shape(rng: np.random.Generator, scale: float) -> tuple[float, float, float, float]:
    radius = 11.5 * scale * math.exp(rng.normal(0, 0.07))
    stretch = math.sqrt(rng.uniform(1.05, 1.45))
    return radius * stretch, radius / stretch, rng.uniform(0, math.pi), rng.uniform(0.8, 1.25)


def _somewhere(rng: np.random.Generator, scale: float) -> Nucleus:
    y = rng.uniform(_BORDER, SHAPE[0] - _BORDER)
    x = rng.uniform(_BORDER, SHAPE[1] - _BORDER)
    return Nucleus(y, x, *_shape(rng, scale))


def _beside(rng: np.random.Generator, first: Nucleus, scale: float) -> Nucleus:
    """A nucleus that touches the first one."""
    direction = rng.uniform(0, 2 * math.pi)
    second = Nucleus(first.y, first.x, *_shape(rng, scale))
    distance = first.reach(direction) + second.reach(direction + math.pi)
    return Nucleus(
        first.y + distance * math.sin(direction),
        first.x + distance * math.cos(direction),
        second.long,
        second.short,
        second.angle,
        second.brightness,
    )


def _inside(nucleus: Nucleus) -> bool:
    return _BORDER <= nucleus.y <= SHAPE[0] - _BORDER and _BORDER <= nucleus.x <= SHAPE[1] - _BORDER


def _is_free(nucleus: Nucleus, others: list[Nucleus]) -> bool:
    return all(math.hypot(nucleus.y - other.y, nucleus.x - other.x) >= _SPACING for other in others)


def _add_cell(
    light: dict[str, Image], rng: np.random.Generator, nucleus: Nucleus, others: list[Nucleus]
) -> None:
    """Add the light of one cell, in photons, to every channel; cells meet half way."""
    half = 56
    top, left = round(nucleus.y) - half, round(nucleus.x) - half
    rows = slice(max(top, 0), min(top + 2 * half, SHAPE[0]))
    columns = slice(max(left, 0), min(left + 2 * half, SHAPE[1]))
    y, x = np.mgrid[rows, columns]
    dy, dx = y - nucleus.y, x - nucleus.x
    along = dx * math.cos(nucleus.angle) + dy * math.sin(nucleus.angle)
    across = dy * math.cos(nucleus.angle) - dx * math.sin(nucleus.angle)
    in_nucleus = _disc(np.hypot(along / nucleus.long, across / nucleus.short), 0.09)
    to_edge = np.hypot(dy, dx) / _outline(rng, np.arctan2(dy, dx), nucleus)
    for other in others:
        apart = math.hypot(other.y - nucleus.y, other.x - nucleus.x)
        toward = (dy * (other.y - nucleus.y) + dx * (other.x - nucleus.x)) / apart
        to_edge = np.maximum(to_edge, toward / (apart / 2))
    in_cell = _disc(to_edge, 0.07)

    chromatin = 1 + 0.16 * _texture(rng, in_cell.shape, 1.8)
    cortex = np.exp(-(((to_edge - 0.93) / 0.07) ** 2))
    fibres = 1 + 0.30 * _texture(rng, in_cell.shape, 1.5)
    threads = np.clip(_texture(rng, in_cell.shape, 1.6), 0, None)
    perinuclear = np.exp(-((to_edge / 0.72) ** 4))

    cell = {
        "DNA": 900 * nucleus.brightness * in_nucleus * chromatin,
        "Actin": in_cell * (300 * fibres + 330 * cortex) * (1 - 0.25 * in_nucleus),
        "Mito": in_cell * perinuclear * (120 + 520 * threads) * (1 - 0.75 * in_nucleus),
    }
    for channel, photons in cell.items():
        patch = light[channel][rows, columns]
        np.maximum(patch, photons, out=patch)


def _disc(distance: Image, softness: float) -> Image:
    """1 inside distance 1, 0 outside, with a soft edge."""
    disc: Image = 1 / (1 + np.exp(np.clip((distance - 1) / (softness / 2), -40, 40)))
    return disc


def _outline(rng: np.random.Generator, direction: Image, nucleus: Nucleus) -> Image:
    """The radius of a cell body in each direction, in pixels: a circle with a few bulges."""
    radius = np.full(direction.shape, nucleus.long + rng.uniform(12, 22))
    for waves in (2, 3, 4, 5):
        bulge = rng.normal(0, 0.16 / waves)
        radius *= 1 + bulge * np.cos(waves * direction + rng.uniform(0, 2 * math.pi))
    outline: Image = np.maximum(radius, nucleus.long + 4)
    return outline


def _texture(rng: np.random.Generator, shape: tuple[int, ...], grain: float) -> Image:
    """Smooth noise of mean 0 and standard deviation 1; grain in pixels."""
    noise = blur(rng.standard_normal(shape), grain)
    noise -= noise.mean()
    noise /= noise.std()
    return noise


def blur(image: Image, sigma: float, halo: float = 0.0) -> Image:
    """A Gaussian blur that wraps around at the border; sigma in pixels.

    `halo` adds that share of the light once more, spread widely, as a lens does.
    """
    rows = np.fft.fftfreq(image.shape[0])[:, None]
    columns = np.fft.rfftfreq(image.shape[1])[None, :]
    squared = -2 * math.pi**2 * (rows**2 + columns**2)
    transfer = np.exp(squared * sigma**2)
    if halo:
        transfer += halo * np.exp(squared * _HALO_BLUR**2)
    return np.fft.irfft2(np.fft.rfft2(image) * transfer, s=image.shape)


def _expose(light: Image, haze: float, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """What the camera records of the light, in photons, over a haze out of focus."""
    y, x = np.ogrid[0 : SHAPE[0], 0 : SHAPE[1]]
    lamp = 1 - 0.42 * ((y / SHAPE[0] - 0.46) ** 2 + (x / SHAPE[1] - 0.54) ** 2)
    photons = lamp * (blur(light, _OPTICS_BLUR, halo=0.05) + haze)
    # Shot noise has the photons' own variance; with this many of them it is as good as normal.
    noise = np.sqrt(_PHOTON_GAIN**2 * photons + _READ_NOISE**2) * rng.standard_normal(SHAPE)
    counts = _CAMERA_OFFSET + _PHOTON_GAIN * photons + noise
    recorded: npt.NDArray[np.uint16] = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    return recorded


def tiff(image: npt.NDArray[np.uint16]) -> bytes:
    """An uncompressed greyscale TIFF."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, image, photometric="minisblack", metadata=None, software="CellFleet sample"
    )
    return buffer.getvalue()


def files(seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """Name and content of every image of the plate, one site at a time."""
    for site in SITES:
        for channel, image in render_site(site, seed).items():
            yield site.file_name(channel), tiff(image)


def truth_csv() -> str:
    """The known counts: well, site, nuclei."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("well", "site", "nuclei"))
    writer.writerows((site.well, site.site, site.nuclei) for site in SITES)
    return text.getvalue()


def main(arguments: list[str]) -> int:
    """Write the plate to a folder."""
    if len(arguments) != 1:
        print("usage: python -m examples.sample.render FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files():
        (folder / name).write_bytes(content)
    (folder / "truth.csv").write_text(truth_csv(), encoding="utf-8")
    print(f"{len(SITES)} sites, {len(CHANNELS)} channels each, and truth.csv in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
