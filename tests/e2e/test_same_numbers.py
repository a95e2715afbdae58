"""The files of Distributed-CellProfiler's users, and the numbers that CellProfiler alone gives."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.sample.plate import CHANNELS
from scripts.comparison import compare_folders
from scripts.direct_run import DirectRun
from tests.e2e.outside import PATIENCE, Outside
from tests.e2e.plates import config, images, load_data, pipeline
from tests.syntax import ROOT

pytestmark = [pytest.mark.cellprofiler, pytest.mark.timeout(900)]

PROJECT = "demo_project_folder"
IMAGES = f"{PROJECT}/images/plate 1"
#: As the CSV has them; CellProfiler takes the column for numbers. The images of the last one are
#: nowhere: no job needs them, but its row bears on the numbers of all image sets.
POSITIONS = {"002": "A01", "076": "A02", "010": "A03"}
#: What the groups call them, and the image set's number: sorted as text, "10" comes first.
GROUPS = {"2": "2", "76": "3"}
RUN = (sys.executable, str(ROOT / "run.py"))


def names(position: str) -> dict[str, str]:
    return {channel: f"01 POS{position}_{channel}.TIF" for channel in CHANNELS}


@pytest.fixture(scope="module")
def bucket(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the bucket."""
    folder = tmp_path_factory.mktemp("a bucket")
    rows: dict[tuple[str, ...], Mapping[str, str]] = {
        (position, well, "1"): names(position) for position, well in POSITIONS.items()
    }
    objects = {
        f"{PROJECT}/workspace/analysis.cppipe": pipeline("Position"),
        f"{PROJECT}/workspace/load_data.csv": load_data(("Position", "Well", "Site"), rows, IMAGES),
    }
    for position in ("002", "076"):
        for channel, content in images(POSITIONS[position]).items():
            objects[f"{IMAGES}/{names(position)[channel]}"] = content
    for key, content in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    outside.upload(folder)
    return folder


@pytest.fixture(scope="module")
def direct(
    bucket: Path, cellprofiler: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Folders with the results of CellProfiler alone, by group."""
    folder = tmp_path_factory.mktemp("direct")
    (folder / "work").mkdir()
    run = DirectRun(
        executable=cellprofiler,
        bucket=bucket,
        pipeline=f"{PROJECT}/workspace/analysis.cppipe",
        data_file=f"{PROJECT}/workspace/load_data.csv",
        input=f"{PROJECT}/workspace/",
        work=folder / "work",
    )
    run.prepare()
    for group in GROUPS:
        run.run(f"Metadata_Position={group}", folder / group)
    return {group: folder / group for group in GROUPS}


def job_file(output: str, **keys: Any) -> dict[str, Any]:
    return {
        "_comment1": "Paths are relative to the bucket's root",
        "pipeline": f"{PROJECT}/workspace/analysis.cppipe",
        "data_file": f"{PROJECT}/workspace/load_data.csv",
        "input": f"{PROJECT}/workspace/",
        "output": output,
        "output_structure": "Metadata_Position",
        "_comment2": "One job for each",
        "groups": [{"Metadata": f"Metadata_Position={group}"} for group in GROUPS],
        **keys,
    }


def fleet_file(outside: Outside) -> dict[str, Any]:
    """A spot fleet request with launch specifications, for the account's own network."""
    role = "arn:aws:iam::123456789012"
    ec2 = outside.client("ec2")
    image = outside.client("ssm").get_parameter(
        Name="/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    )["Parameter"]["Value"]
    interface = {
        "DeviceIndex": 0,
        "SubnetId": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "DeleteOnTermination": True,
        "AssociatePublicIpAddress": True,
        "Groups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    return {
        "IamFleetRole": f"{role}:role/aws-ec2-spot-fleet-tagging-role",
        "AllocationStrategy": "lowestPrice",
        "TargetCapacity": 1,
        "SpotPrice": "0.20",
        "ValidFrom": "2026-01-01T00:00:00Z",
        "ValidUntil": "2036-01-01T00:00:00Z",
        "TerminateInstancesWithExpiration": True,
        "LaunchSpecifications": [
            {
                "ImageId": image,
                "InstanceType": "m5.xlarge",
                "KeyName": "imaging-core",
                "IamInstanceProfile": {"Arn": f"{role}:instance-profile/ecsInstanceRole"},
                "BlockDeviceMappings": [
                    {
                        "DeviceName": "/dev/xvda",
                        "Ebs": {"DeleteOnTermination": True, "VolumeType": "gp2", "VolumeSize": 8},
                    }
                ],
                "NetworkInterfaces": [interface],
            }
        ],
        "Type": "maintain",
    }


def assert_same_numbers(
    outside: Outside, output: str, direct: Mapping[str, Path], folder: Path
) -> None:
    """Every group's results are there, make sense, and are those of CellProfiler alone."""
    keys = outside.keys(f"{output}/")
    assert {key.removeprefix(f"{output}/").split("/")[0] for key in keys} == set(GROUPS)
    for group, number in GROUPS.items():
        ours = outside.fetch(f"{output}/{group}", folder / group)
        compared = compare_folders(ours, direct[group])
        assert [(file.name, file.told) for file in compared if file.differences] == []
        position = group.zfill(3)
        assert {file.name for file in compared} == {
            *("Cells.csv", "Image.csv", "Nuclei.csv"),
            f"{POSITIONS[position]}_s1_outlines.png",
        }
        assert sum(file.values for file in compared) > 1000
        with (ours / "Image.csv").open(newline="") as table:
            (row,) = csv.DictReader(table)
        assert row["ImageNumber"] == number
        assert row["FileName_DNA"] == f"01 POS{position}_DNA.TIF"
        assert float(row["Count_Nuclei"]) > 5


def command(outside: Outside, folder: Path, *words: str) -> str:
    """One of DCP's commands, typed in the folder of the user's files; what it prints."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    finished = subprocess.run(
        [*RUN, *words],
        cwd=folder,
        env={**basics, **outside.fleet.aws.env, "CELLFLEET_MONITOR_SECONDS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_four_commands(outside: Outside, direct: Mapping[str, Path], tmp_path: Path) -> None:
    output = f"{PROJECT}/output"
    text = (Path(__file__).parent / "data" / "config.py").read_text(encoding="utf-8")
    (tmp_path / "config.py").write_text(text.replace("your-bucket-name", outside.bucket))
    (tmp_path / "job.json").write_text(json.dumps(job_file(output), indent=4))
    (tmp_path / "fleet.json").write_text(json.dumps(fleet_file(outside), indent=4))

    command(outside, tmp_path, "setup")
    command(outside, tmp_path, "submitJob", "job.json")
    command(outside, tmp_path, "startCluster", "fleet.json")
    monitor_file = outside.read("monitors/CompatibleSpotFleetRequestId.json")
    (tmp_path / "monitor.json").write_bytes(monitor_file)
    command(outside, tmp_path, "monitor", "monitor.json")

    run = outside.finished("Compatible")
    fleet = run["fleets"][0]
    assert fleet["request"]["Type"] == "maintain"
    assert fleet["fleet_id"] == json.loads(monitor_file)["MONITOR_FLEET_ID"]
    assert outside.outcomes(run["run_id"]) == {"done": len(GROUPS)}
    assert_same_numbers(outside, output, direct, tmp_path / "results")
    assert outside.leftovers() == {}


def test_one_upload_with_everything_in_it(
    outside: Outside, direct: Mapping[str, Path], tmp_path: Path
) -> None:
    output = f"{PROJECT}/output of an upload"
    # As `cellprofiler --print-groups` prints them.
    groups = [[{"Metadata_Position": group}, [int(number)]] for group, number in GROUPS.items()]
    keys = {"groups": groups, "config": config("Upload", outside.bucket)}
    outside.submit("Upload", job_file(output, **keys), name="positions 2 and 76")

    run = outside.finished("Upload")
    assert outside.outcomes(run["run_id"]) == {"done": len(GROUPS)}
    assert_same_numbers(outside, output, direct, tmp_path / "results")
    assert outside.leftovers() == {}
