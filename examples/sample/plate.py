"""What is on the sample plate: wells, sites, channels, and how many nuclei each site holds.

A dose series: from A01 to B03 a made-up compound leaves fewer cells, with larger nuclei.
"""

from dataclasses import dataclass

PLATE = "Sample"
CHANNELS = ("DNA", "Actin", "Mito")
#: Height and width of every image, in pixels.
SHAPE = (520, 696)


@dataclass(frozen=True)
class Site:
    """One field of view: how many nuclei to render, and how large against the untreated ones."""

    well: str
    site: int
    nuclei: int
    nuclear_scale: float

    def file_name(self, channel: str) -> str:
        """For example `A01_s1_DNA.tif`."""
        return f"{self.well}_s{self.site}_{channel}.tif"


#: Nuclei at the two sites of a well, and the mean nuclear radius relative to A01.
_WELLS = {
    "A01": ((60, 57), 1.0),
    "A02": ((50, 47), 1.03),
    "A03": ((38, 41), 1.07),
    "B01": ((27, 30), 1.12),
    "B02": ((21, 18), 1.19),
    "B03": ((12, 14), 1.27),
}

SITES = tuple(
    Site(well=well, site=number, nuclei=nuclei, nuclear_scale=scale)
    for well, (counts, scale) in _WELLS.items()
    for number, nuclei in enumerate(counts, start=1)
)


def wells() -> list[str]:
    """The wells in plate order."""
    return list(_WELLS)


def nuclei_in(well: str) -> int:
    """How many nuclei were rendered in a well, over its sites."""
    return sum(site.nuclei for site in SITES if site.well == well)
