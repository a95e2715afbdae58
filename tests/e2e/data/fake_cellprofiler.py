"""Stands in for CellProfiler's command line where what it does counts, and not its numbers.

Writes an image table of the group's rows, then the done file. As long as a file `hold-WELL`
lies next to this script, the groups of that well take for ever.
"""

import csv
import sys
import time
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
arguments = sys.argv[1:]


def option(name: str) -> str:
    return arguments[arguments.index(name) + 1]


group = dict(pair.split("=") for pair in option("-g").split(","))
well = group["Metadata_Well"]
data_file = next(a for a in arguments if a.startswith("--data-file=")).split("=", 1)[1]
with (HERE / "runs.txt").open("a") as file:
    file.write(well + "\n")
while (HERE / ("hold-" + well)).exists():
    time.sleep(0.05)

with open(data_file) as file:
    rows = [row for row in csv.DictReader(file) if row["Metadata_Well"] == well]
with Path(option("-o"), "Image.csv").open("w") as file:
    file.write("ImageNumber,FileName_DNA,Content_DNA\n")
    for number, row in enumerate(rows, 1):
        image = Path(row["PathName_DNA"], row["FileName_DNA"]).read_bytes()
        file.write(f"{number},{row['FileName_DNA']},{sha256(image).hexdigest()}\n")
Path(option("-d")).write_text("Complete\n")
