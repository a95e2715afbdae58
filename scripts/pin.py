"""Pin anew: resolve the requirements in a fresh environment and write what came out.

    python3.11 -m scripts.pin                  constraints.txt
    python3.11 -m scripts.pin cellprofiler     worker/requirements-cellprofiler-py311.txt
    python3.12 -m scripts.pin cellprofiler     worker/requirements-cellprofiler-py312.txt

constraints.txt is made on the oldest supported Python, whose versions run on the newer one too;
each Python has a CellProfiler list of its own, because old binary packages differ.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

from scripts.cellprofiler_env import BRIDGE, ROOT, VERSION
from scripts.toolchain import ensure

#: Upper bounds: what CellProfiler 4.2.8 was measured to work with, without its window.
CELLPROFILER = (
    "imageio inflect<7 mahotas h5py<4 joblib Jinja2 prokaryote==2.4.4 sentry-sdk==0.18.0 requests "
    "boto3 six future psutil lxml docutils deprecation centrosome==1.3.4 scikit-learn tifffile "
    "pyzmq numpy<2 setuptools<70 wheel cython<3 "
)
BY_PYTHON = {
    "311": "scipy<1.12 scikit-image==0.20.0 matplotlib<3.8 Pillow<10",
    "312": "scipy scikit-image==0.22.0 matplotlib<3.9 Pillow",
}


def main(arguments: list[str]) -> int:
    minor = f"{sys.version_info.major}{sys.version_info.minor}"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([sys.executable, "-m", "venv", folder])
        python = f"{folder}/bin/python"
        if arguments == ["cellprofiler"]:
            pip(python, *(CELLPROFILER + BY_PYTHON[minor]).split())
            engine = [f"cellprofiler=={VERSION}", f"cellprofiler-core=={VERSION}"]
            pip(python, "--no-deps", "--no-build-isolation", *BRIDGE, *engine)
            path = ROOT / "worker" / f"requirements-cellprofiler-py{minor}.txt"
            header = f"# CellProfiler {VERSION} without its window: every package, pinned.\n"
            made = f"# Made by `python3.{minor[1:]} -m scripts.pin cellprofiler`.\n"
        elif not arguments and minor == "311":
            bounds = (ROOT / "requirements.txt").read_text().replace("-c constraints.txt", "")
            development = (ROOT / "requirements-dev.txt").read_text()
            lines = [*bounds.splitlines(), *development.splitlines()]
            # Chalice needs it, and the one that Python 3.11 brings doesn't run on 3.12.
            pip(python, "--upgrade", "setuptools")
            pip(python, *(line for line in lines if line and line[0] not in "#-"))
            path = ROOT / "constraints.txt"
            header = "# The versions that are tested, on Python 3.11 and 3.12.\n"
            made = "# Made by `python3.11 -m scripts.pin`.\n"
        else:
            print(__doc__, file=sys.stderr)
            return 2
        path.write_text(header + made + freeze(python))
    return 0


def pip(python: str, *arguments: str) -> None:
    env = {"JAVA_HOME": str(ensure().home)} if "--no-build-isolation" in arguments else {}
    command = [python, "-m", "pip", "-q", "install", *arguments]
    subprocess.check_call(["env", *(f"{key}={value}" for key, value in env.items()), *command])


def freeze(python: str) -> str:
    """`name==version` lines, the tools that builds need included, pip itself not."""
    command = [python, "-m", "pip", "freeze", "--all"]
    lines = subprocess.check_output(command, text=True).splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith("pip=="))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
