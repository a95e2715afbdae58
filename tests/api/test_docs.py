"""The page's examples, run one after another by a shell, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.api.conftest import Api
from tests.syntax import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_work_as_they_stand(api: Api, tmp_path: Path) -> None:
    blocks = _BLOCK.findall((ROOT / "docs/api.md").read_text("utf-8"))
    assert len(blocks) >= 7
    script = "\n".join(["set -e", *blocks])
    done = subprocess.run(
        ["sh"],
        input=script,
        text=True,
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "CELLFLEET_API": api.url, "NO_PROXY": "*"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = [record for record in api.get("/runs")["runs"] if record["app"] == "MyScreen"]
    assert (run["outcome"], run["jobs"]) == ("stopped", 2)
    assert "jobs/MyScreen/plate-2.json" in api.objects()
