"""CellProfiler on one group by its own command line, as a user would run it, without CellFleet."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chalicelib.contract import BUCKET_MOUNT

#: One thread, as in each of a worker's slots; the number of threads changes some last digits.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_TAIL = 20


class DirectRunError(RuntimeError):
    """CellProfiler didn't finish the group; says what it printed last."""


@dataclass(frozen=True)
class DirectRun:
    """How groups are run. `bucket` is a folder with the bucket's content, `pipeline`, `data_file`
    (a LoadData CSV) and `input` are keys in it, and `work` is an empty folder of our own."""

    executable: str
    bucket: Path
    pipeline: str
    data_file: str
    input: str
    work: Path
    always_continue: bool = False

    def prepare(self) -> None:
        """Copies of pipeline and data file for this machine, whose bucket is elsewhere."""
        # A path that needs no quoting in a CSV, wherever the user's folder is.
        self._mount.symlink_to(self.bucket.resolve(), target_is_directory=True)
        for key in (self.pipeline, self.data_file):
            content = (self.bucket / key).read_bytes()
            moved = content.replace(BUCKET_MOUNT.encode(), str(self._mount).encode())
            self._copy(key).write_bytes(moved)

    def run(self, group: str, output: Path) -> None:
        """Run one group (the text of `-g`) into a new folder. Raises DirectRunError."""
        output.mkdir(parents=True)
        done = output.with_name(output.name + ".done")
        command = [
            *(self.executable, "-c", "-r", "-p", str(self._copy(self.pipeline))),
            *("-i", str(self._mount / self.input), "-o", str(output), "-d", str(done)),
            *(f"--data-file={self._copy(self.data_file)}", "-g", group),
            *(["--always-continue"] if self.always_continue else []),
        ]
        finished = subprocess.run(
            command,
            cwd=self.work,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        state = done.read_text().strip() if done.exists() else "no done file"
        if finished.returncode or state != "Complete":
            tail = "\n".join(finished.stdout.splitlines()[-_TAIL:])
            raise DirectRunError(f"exit code {finished.returncode}, {state}:\n{tail}")

    @property
    def _mount(self) -> Path:
        return self.work.resolve() / "bucket"

    def _copy(self, key: str) -> Path:
        return self.work.resolve() / Path(key).name
