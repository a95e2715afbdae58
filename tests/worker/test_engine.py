"""CellProfiler's process: how it is called, watched, and ended with all that it started."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from worker.engine import Command, Finished, Output, run
from worker.failures import Cancelled, JobFailure


def nothing() -> None:
    """No reason to stop."""


def command(folder: Path, script: str = "") -> Command:
    executable = folder / "cellprofiler"
    executable.write_text(f"#!{sys.executable}\n{script}")
    executable.chmod(0o755)
    return Command(
        executable=str(executable),
        pipeline=folder / "a pipeline.cppipe",
        input=folder,
        output=folder / "out",
        done=folder / "done",
        temporary=folder,
        group="Metadata_Well=A 01",
    )


def started(folder: Path, script: str) -> Finished:
    return run(command(folder, script), 60, nothing, lambda _: None, time.monotonic)


def gone(process: str) -> bool:
    """Whether a process dies; a killed one takes a moment, and one that nobody reaps stays."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if " Z " in Path(f"/proc/{process}/stat").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_the_arguments(tmp_path: Path) -> None:
    plain = command(tmp_path)
    assert plain.arguments()[1:3] == ["-c", "-r"]
    assert plain.arguments()[-2:] == ["-g", "Metadata_Well=A 01"]
    assert "-g 'Metadata_Well=A 01'" in plain.line()
    assert plain.line().startswith("cellprofiler -c -r -p ")


def test_arguments_with_spaces_arrive_whole(tmp_path: Path) -> None:
    finished = started(tmp_path, "import sys\nfor word in sys.argv[1:]: print(word)")
    assert list(finished.tail) == command(tmp_path).arguments()[1:]


def test_one_thread_a_slot_and_temporary_files_of_its_own(tmp_path: Path) -> None:
    script = "import os, tempfile\nprint(os.environ['OMP_NUM_THREADS'], tempfile.gettempdir())"
    assert started(tmp_path, script).tail == (f"1 {tmp_path}",)


def test_the_end_is_told(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        f"open({str(tmp_path / 'done')!r}, 'w').write('Failure\\n')\n"
        "print('Error detected during run of module X', file=sys.stderr)\n"
        "sys.exit(255)"
    )
    finished = started(tmp_path, script)
    assert (finished.exit_code, finished.done, finished.module_errors) == (255, "Failure", 1)
    assert finished.signs == ("Error detected during run of module X",)


def test_output_is_kept_bounded(tmp_path: Path) -> None:
    script = (
        "print('Failed to load pipeline')\n"
        "for number in range(5000): print('Error detected during run of module X', number)\n"
        "print('x' * 10**6)"
    )
    logged: list[str] = []
    finished = run(command(tmp_path, script), 60, nothing, logged.append, time.monotonic)
    assert finished.module_errors == 5000
    assert "Failed to load pipeline" in finished.signs
    assert sum(map(len, finished.tail)) < 10**6
    assert len(finished.signs) <= 20
    assert max(map(len, logged)) <= 4096


def test_output_that_is_no_text_is_read(tmp_path: Path) -> None:
    script = "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe broken\\n')"
    assert started(tmp_path, script).tail[0].endswith("broken")


def test_an_engine_that_isn_t_there(tmp_path: Path) -> None:
    nowhere = Command("/no/such/cellprofiler", *(tmp_path,) * 5)
    with pytest.raises(JobFailure, match="/no/such/cellprofiler") as caught:
        run(nowhere, 60, nothing, lambda _: None, time.monotonic)
    assert caught.value.cause == "crash"


FORKING = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("children", "w").write(f"{os.getpid()} {child.pid}")
os.rename("children", "pids")
time.sleep(600)
"""


def test_a_job_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(JobFailure, match="not finished after 120 minutes") as caught:
        run(
            command(tmp_path, FORKING),
            7200,
            nothing,
            lambda _: None,
            clock=lambda: 7201.0 if pids.exists() else 0.0,
        )
    assert caught.value.cause == "hang"
    assert all(gone(pid) for pid in pids.read_text().split())


def test_a_cancelled_job_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def check() -> None:
        if pids.exists():
            raise Cancelled("interrupted")

    with pytest.raises(Cancelled):
        run(command(tmp_path, FORKING), 60, check, lambda _: None, time.monotonic)
    assert all(gone(pid) for pid in pids.read_text().split())


def test_children_that_outlive_it_are_killed(tmp_path: Path) -> None:
    script = FORKING.rpartition("time.sleep(600)")[0]
    run(command(tmp_path, script), 60, nothing, lambda _: None, time.monotonic)
    assert gone((tmp_path / "pids").read_text().split()[1])


def test_signs_are_found_wherever_they_stand() -> None:
    output = Output(lambda _: None)
    for line in ["Failed to load pipeline", *["noise"] * 10_000]:
        output.feed(line)
    assert output.signs == ["Failed to load pipeline"]
    assert len(output.tail) == 200
