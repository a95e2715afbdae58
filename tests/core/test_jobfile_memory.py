"""A large job file, read in a process of its own, whose peak memory the kernel reports."""

import subprocess
import sys
from pathlib import Path

import pytest

GROUPS = 60_000
ROOT = Path(__file__).parent.parent.parent
HEADER = '"pipeline":"a.cppipe","data_file":"l.csv","input":"","output":"out"'

PROGRAM = """
import re, sys
from chalicelib.core import jobfile

def open_stream():
    return open(sys.argv[1], "rb")

def peak_kb():
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])

before = peak_kb()
found = jobfile.check(open_stream, "large.json", check_if_done=True)
jobs = jobfile.iter_jobs(open_stream, found.header, run="r", submission="s")
print(peak_kb() - before, found.jobs, sum(1 for _ in jobs))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("file", [f'{{{HEADER},"groups":[%s]}}', f'{{"groups":[%s],{HEADER}}}'])
def test_a_large_file_takes_little_memory(file: str, tmp_path: Path) -> None:
    groups = (
        f'{{"Metadata":"Metadata_Plate=BR{n // 384:08d},Metadata_Well=W{n % 384:03d}"}}'
        for n in range(GROUPS)
    )
    path = tmp_path / "large.json"
    path.write_text(file % ",\n".join(groups))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    peak_kb, jobs, sent = map(int, ran.stdout.split())
    assert jobs == sent == GROUPS
    # 32 bytes a group, and what the parser needs: a million groups take some 35 MB.
    assert peak_kb * 1024 < 32 * GROUPS + 5_000_000
