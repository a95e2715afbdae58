"""Behaves like CellProfiler's command line, as far as the worker can see.

Reads the group's images, writes an image table and an object table, then the done file. Next
to this script, behaviour.json says which wells are to go wrong, and how.
"""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
arguments = sys.argv[1:]


def option(name: str) -> str:
    return arguments[arguments.index(name) + 1]


group = dict(pair.split("=") for pair in option("-g").split(","))
well = group["Metadata_Well"]
mode = json.loads((HERE / "behaviour.json").read_text()).get(well, "")
data_file = next(a for a in arguments if a.startswith("--data-file=")).split("=", 1)[1]
output, done = Path(option("-o")), Path(option("-d"))
with (HERE / "runs.txt").open("a") as file:
    file.write(well + "\n")

print("fake CellProfiler at work on", well, flush=True)
if mode == "hang":
    (HERE / f"hanging-{well}").write_text(str(os.getpid()))
    time.sleep(600)
if mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)

with open(data_file) as file:
    rows = [row for row in csv.DictReader(file) if row["Metadata_Well"] == well]
output.mkdir(exist_ok=True)
stamp = time.time_ns()
with (output / "Image.csv").open("w") as file:
    file.write("ImageNumber,FileName_DNA,Metadata_Well,Count_Nuclei,ModuleError_01LoadData\n")
    for number, row in enumerate(rows, 1):
        path = Path(row["PathName_DNA"], row["FileName_DNA"])
        if not path.read_bytes():
            sys.exit("empty image")
        measured = ",," if mode == "blank" and number == 1 else f",{stamp},0"
        file.write(f"{number},{row['FileName_DNA']},{well}{measured}\n")
(output / "sub").mkdir()
(output / "sub" / "Nuclei.csv").write_text(f"ImageNumber,ObjectNumber,Area\n1,1,{stamp}\n")

if mode == "module error":
    print("Error detected during run of module IdentifyPrimaryObjects")
    print("ValueError: the stand-in was told to fail")
    done.write_text("Failure\n")
    sys.exit(255)
if mode == "half loaded":
    print("Failed to load pipeline")
    print('    raise ValueError("Could not find the %s module" % module_class)')
    print("ValueError: Could not find the CountSheep module")
if mode == "nothing written":
    for path in [*output.rglob("*.csv")]:
        path.unlink()
done.write_text("Complete\n")
