"""The reference page is the one that the model makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chalicelib.core.config_keys import KINDS

ROOT = Path(__file__).parent.parent.parent


def test_the_reference_page_is_current_and_whole() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "config_reference.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for name in KINDS:
        assert f"### {name.upper()}\n" in page
