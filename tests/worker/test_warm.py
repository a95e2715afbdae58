"""The warm engine: one process for many jobs, given up at the first doubt."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.worker.test_engine import gone, nothing
from tests.worker.world import DATA
from worker import warm
from worker.engine import Command, Finished
from worker.failures import Cancelled, JobFailure
from worker.warm import WarmEngine, interpreter

COMPLETE = (0, "Complete")


class Slot:
    """A slot's engine, whose CellProfiler is a stand-in that can do both."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log: list[str] = []
        python = folder / "python"
        python.write_text(f"#!{sys.executable}\n" + (DATA / "fake_warm.py").read_text())
        script = folder / "cellprofiler"
        script.write_text(f"#!{python}\nfrom cellprofiler.__main__ import main\n")
        for path in (python, script):
            path.chmod(0o755)
        (folder / "a.cppipe").write_text("a pipeline")
        self.behave()
        self.engine = WarmEngine(str(script), folder, time.monotonic)

    def behave(self, **modes: str) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps(modes))

    def command(self, well: str, cold: str = "") -> Command:
        return Command(
            executable=str(self.folder / "cellprofiler"),
            pipeline=self.folder / "a.cppipe",
            input=self.folder,
            output=self.folder,
            done=self.folder / f"done-{well}",
            temporary=self.folder,
            data_file=self.folder / "a.csv",
            group=f"Metadata_Well={well}",
            cold=cold,
        )

    def run(
        self,
        well: str,
        timeout: float = 60,
        check: Callable[[], None] = nothing,
        cold: str = "",
    ) -> Finished:
        return self.engine.run(self.command(well, cold), timeout, check, self.log.append)

    def runs(self) -> list[str]:
        """How each job was run: warm or cold, and its well."""
        return [" ".join(words[:2]) for words in self._noted()]

    def processes(self) -> list[str]:
        """The processes that ran the jobs, in order."""
        return [words[2] for words in self._noted()]

    def _noted(self) -> list[list[str]]:
        path = self.folder / "runs.txt"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    slot = Slot(tmp_path)
    yield slot
    slot.engine.close()


def ended(finished: Finished) -> tuple[int, str]:
    return finished.exit_code, finished.done


def test_one_process_does_job_after_job(slot: Slot) -> None:
    assert [ended(slot.run(well)) for well in ("A01", "A02", "A03")] == [COMPLETE] * 3
    assert slot.runs() == ["warm A01", "warm A02", "warm A03"]
    assert len(set(slot.processes())) == 1
    assert slot.log == ["at work on A01", "at work on A02", "at work on A03"]
    slot.engine.close()
    assert gone(slot.processes()[0])


def test_a_process_may_start_while_inputs_come(slot: Slot) -> None:
    for _ in range(2):
        slot.engine.warm_up(slot.command("A01"))
        slot.run("A01")
    assert slot.runs() == ["warm A01"] * 2
    assert len(set(slot.processes())) == 1


def test_none_is_started_for_a_job_that_won_t_have_it(slot: Slot) -> None:
    slot.behave(start="no")
    slot.engine.warm_up(slot.command("A01", cold="it uses plugins"))
    slot.run("A01", cold="it uses plugins")
    slot.behave()
    slot.run("A02")
    assert slot.runs() == ["cold A01", "warm A02"]


def test_one_that_failed_to_start_before_its_job_came(slot: Slot) -> None:
    slot.behave(start="no")
    slot.engine.warm_up(slot.command("A01"))
    assert ended(slot.run("A01")) == COMPLETE
    assert slot.runs() == ["cold A01"]
    slot.behave()
    assert ended(slot.run("A02")) == COMPLETE
    assert slot.runs() == ["cold A01", "warm A02"]


def test_each_job_is_told_its_own_output(slot: Slot) -> None:
    assert slot.run("A01").tail == ("at work on A01",)
    assert slot.run("A02").tail == ("at work on A02",)


@pytest.mark.parametrize(
    ("mode", "end"),
    [("module error", (255, "Failure")), ("module error, continued", COMPLETE)],
)
def test_no_other_job_follows_an_error(mode: str, end: tuple[int, str], slot: Slot) -> None:
    slot.behave(A01=mode)
    finished = slot.run("A01")
    assert (ended(finished), finished.module_errors) == (end, 1)
    assert finished.signs == ("Error detected during run of module X",)
    slot.behave()
    assert ended(slot.run("A02")) == COMPLETE
    first, second = slot.processes()
    assert first != second
    assert gone(first)


def test_a_process_that_was_killed(slot: Slot) -> None:
    """What it started holds its output open; that must not look like work."""
    slot.behave(A02="killed")
    slot.run("A01")
    assert ended(slot.run("A02")) == (-9, "")
    slot.behave()
    assert ended(slot.run("A03")) == COMPLETE


def test_a_process_that_died_between_jobs_is_replaced(slot: Slot) -> None:
    import os
    import signal

    slot.run("A01")
    os.kill(int(slot.processes()[0]), signal.SIGKILL)
    assert gone(slot.processes()[0])
    assert ended(slot.run("A02")) == COMPLETE
    assert slot.runs() == ["warm A01", "warm A02"]


def test_a_job_that_hangs_is_killed_with_its_children(slot: Slot) -> None:
    slot.behave(A01="hang")
    pids = slot.folder / "pids"
    slot.engine = WarmEngine(
        str(slot.folder / "cellprofiler"), slot.folder, lambda: 7201.0 if pids.exists() else 0.0
    )
    with pytest.raises(JobFailure, match="not finished after 120 minutes") as caught:
        slot.run("A01", timeout=7200)
    assert caught.value.cause == "hang"
    assert all(gone(pid) for pid in pids.read_text().split())


def test_a_cancelled_job_is_killed_with_its_children(slot: Slot) -> None:
    slot.behave(A01="hang")
    pids = slot.folder / "pids"

    def check() -> None:
        if pids.exists():
            raise Cancelled("interrupted")

    with pytest.raises(Cancelled):
        slot.run("A01", check=check)
    assert all(gone(pid) for pid in pids.read_text().split())
    slot.behave()
    assert ended(slot.run("A01")) == COMPLETE


def test_what_it_can_t_do_is_done_cold_and_remembered(slot: Slot) -> None:
    slot.behave(A01="unsuited", A02="unsuited")
    assert ended(slot.run("A01")) == COMPLETE
    assert ended(slot.run("A02")) == COMPLETE
    assert slot.runs() == ["warm A01", "cold A01", "cold A02"]
    assert slot.log == ["CellProfiler is started for this job alone: it is made so"] * 2
    assert gone(slot.processes()[0]), "an idle one would only use memory"


def test_another_pipeline_is_another_question(slot: Slot) -> None:
    slot.behave(A01="unsuited")
    slot.run("A01")
    (slot.folder / "a.cppipe").write_text("another pipeline")
    slot.run("A02")
    assert slot.runs()[-1] == "warm A02"


def test_a_job_that_asks_for_a_process_of_its_own(slot: Slot) -> None:
    slot.run("A01")
    assert ended(slot.run("A02", cold="an earlier attempt failed")) == COMPLETE
    assert slot.runs() == ["warm A01", "cold A02"]
    assert slot.log[-1].endswith("for this job alone: an earlier attempt failed")


def test_a_process_has_so_many_jobs(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "JOBS", 2)
    for well in ("A01", "A02", "A03", "A04", "A05"):
        slot.run(well)
    first, second, third = slot.processes()[::2]
    assert slot.processes() == [first, first, second, second, third]
    assert gone(first)


def test_a_process_that_grows_is_replaced(slot: Slot) -> None:
    slot.behave(A02="grows")
    for well in ("A01", "A02", "A03"):
        slot.run(well)
    first, second, third = slot.processes()
    assert first == second != third


def test_where_it_can_t_start_the_command_line_does_all(slot: Slot) -> None:
    slot.behave(start="no")
    for well in ("A01", "A02", "A03"):
        assert ended(slot.run(well)) == COMPLETE
    assert slot.runs() == ["cold A01", "cold A02", "cold A03"]
    assert "it couldn't be kept running (no Java here)" in slot.log[0]
    assert slot.log[2].endswith("it couldn't be kept running")


def test_another_program_is_started_for_each_job(slot: Slot) -> None:
    other = slot.folder / "other"
    other.write_text((slot.folder / "cellprofiler").read_text().replace("__main__", "main"))
    other.chmod(0o755)
    slot.engine = WarmEngine(str(other), slot.folder, time.monotonic)
    slot.run("A01")
    assert slot.runs() == ["cold A01"]
    assert "other isn't CellProfiler's own start script" in slot.log[0]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("#!/opt/bin/python3.8\nfrom cellprofiler.__main__ import main\n", "/opt/bin/python3.8"),
        (
            "#!/bin/sh\n'''exec' \"/a b/python\" \"$0\" \"$@\"\n' '''\n"
            "from cellprofiler.__main__ import main\n",
            "/a b/python",
        ),
        ("#!/usr/bin/env sh\nfrom cellprofiler.__main__ import main\n", "/bin/sh"),
        ("#!/py\n# EASY-INSTALL-ENTRY-SCRIPT: 'CellProfiler','console_scripts'\n", "/py"),
        ("#!/bin/sh\nexec cellprofiler\n", ""),
        ("\x7fELF", ""),
        (None, ""),
    ],
)
def test_whose_python(text: str | None, python: str, tmp_path: Path) -> None:
    path = tmp_path / "cellprofiler"
    if text is not None:
        path.write_text(text)
        path.chmod(0o755)
    found = interpreter(str(path))
    assert found == python or Path(found).name == Path(python).name == "sh"
