"""A copy of the project as a user has it, and Chalice at work in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("chalicelib", ".chalice", "vendor")
_FILES = ("app.py", "requirements.txt", "constraints.txt")
_CHALICE = "import sys; from chalice.cli import main; sys.argv[0] = 'chalice'; sys.exit(main())"


class Project:
    """A folder with all that Chalice packages, its stages' environment set to `settings`."""

    def __init__(self, folder: Path, settings: Mapping[str, str]):
        self.folder = folder
        not_copied = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
        for name in _FOLDERS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=not_copied)
        for name in _FILES:
            shutil.copy(ROOT / name, folder)
        self.config = json.loads((folder / ".chalice/config.json").read_text("utf-8"))
        self.config["environment_variables"].update(settings)
        (folder / ".chalice/config.json").write_text(json.dumps(self.config), "utf-8")

    def chalice(self, *arguments: str | Path, environment: Mapping[str, str]) -> str:
        """Run one of Chalice's commands; what it said. Raises RuntimeError when it failed."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CELLFLEET_"))
        }
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _CHALICE,
                "--project-dir",
                str(self.folder),
                *map(str, arguments),
            ],
            env={**inherited, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"chalice {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
            )
        return done.stdout

    def functions(self, stage: str) -> dict[str, Any]:
        """What the stage says about each function."""
        return dict(self.config["stages"][stage]["lambda_functions"])

    def names(self, stage: str) -> dict[str, str]:
        """What each function is called in the account."""
        app = f"{self.config['app_name']}-{stage}"
        return {
            name: app if name == "api_handler" else f"{app}-{name}"
            for name in self.functions(stage)
        }

    @property
    def zips(self) -> list[Path]:
        """Packages that Chalice has made."""
        return sorted((self.folder / ".chalice/deployments").glob("*.zip"))
