"""What the documentation says can be done: its examples are read, its names looked up."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core import jobfile
from chalicelib.core.config import parse_keys
from chalicelib.errors import JobFileError
from run import _parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "[a-z]*/README.md", "examples/sample/README.md")
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the word behind that, and its text."""

    page: Path
    language: str
    mark: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All fenced blocks in one of these languages."""
    return [
        Block(page, match[1], match[2].strip(), match[3], text.count("\n", 0, match.start()) + 1)
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for match in _BLOCK.finditer(text)
        if match[1] in languages
    ]


def job_files(*, refused: bool) -> list[Block]:
    """The examples of job files, all others being none."""
    found = [block for block in blocks("json") if '"groups"' in block.text]
    return [block for block in found if (block.mark == "refused") == refused]


def read(text: str) -> tuple[jobfile.JobFile, list[jobfile.Job]]:
    def open_stream() -> Any:
        return io.BytesIO(text.encode())

    checked = jobfile.check(open_stream, "example", check_if_done=False)
    return checked, list(jobfile.iter_jobs(open_stream, checked.header, run="", submission=""))


def test_there_are_pages_and_examples() -> None:
    assert {"README.md", "job-files.md", "architecture.md"} <= {page.name for page in PAGES}
    assert len(job_files(refused=False)) >= 9
    assert len(job_files(refused=True)) == 1


@pytest.mark.parametrize("block", job_files(refused=False), ids=str)
def test_an_example_of_a_job_file_is_accepted(block: Block) -> None:
    checked, jobs = read(block.text)
    assert checked.warnings == ()
    assert len(jobs) == len(json.loads(block.text)["groups"])
    if checked.header.config is not None:
        assert parse_keys(checked.header.config, str(block)).warnings == ()


def test_the_groups_of_all_forms_are_the_same() -> None:
    text = (ROOT / "docs/job-files.md").read_text(encoding="utf-8")
    section = text.partition("## Groups")[2].partition("## Output folders")[0]
    forms = [read(match[3])[1][0].group for match in _BLOCK.finditer(section)]
    assert forms == [(("Metadata_Plate", "P1"), ("Metadata_Well", "A01"))] * 4


def test_output_folders_are_as_told() -> None:
    text = (ROOT / "docs/job-files.md").read_text(encoding="utf-8")
    section = text.partition("## Output folders")[2].partition("## File lists")[0]
    example = _BLOCK.search(section)
    assert example is not None
    told = re.search(r"^gives `(.+)`\.$", section, re.MULTILINE)
    assert told is not None
    assert [job.folder for job in read(example[3])[1]] == [told[1]]


@pytest.mark.parametrize("block", job_files(refused=True), ids=str)
def test_the_refused_example_is_refused_as_told(block: Block) -> None:
    with pytest.raises(JobFileError) as refused:
        read(block.text)
    told = next(b for b in blocks("text") if b.page == block.page and b.line > block.line)
    assert told.text.splitlines() == [str(problem) for problem in refused.value.problems]


# --- commands ------------------------------------------------------------------------------------


def spoken() -> Iterator[tuple[Block, str]]:
    """Every command line of the shell blocks."""
    for block in blocks("sh"):
        for line in block.text.splitlines():
            if line.strip() and not line.startswith("#"):
                yield block, line


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(
            r"(?:`|^ *|\()make (?:-s )?([a-z-]+)", page.read_text("utf-8"), re.M
        )
    }
    assert {"demo", "test", "check", "bench", "install", "cellprofiler-path"} <= named
    assert named <= targets


def test_commands_of_run_py_are_understood() -> None:
    """Each is read by the parser itself, without being run. (`local` has its own; see below.)"""
    found = [
        line.partition("run.py ")[2].split() for _, line in spoken() if "python run.py " in line
    ]
    assert {words[0] for words in found} >= {"setup", "submitJob", "startCluster", "monitor"}
    for words in found:
        if words[0] not in ("local", "demo"):
            _parser().parse_args(words)


def test_every_command_of_run_py_is_documented() -> None:
    commands = re.findall(r"^    (\w+)(?: |$)", _parser().format_help(), re.MULTILINE)
    assert {"setup", "local"} <= set(commands)
    readme = (ROOT / "README.md").read_text("utf-8")
    for command in commands:
        assert f"run.py {command}" in readme or f"make {command}" in readme, command


def test_options_of_local_are_those_documented() -> None:
    from local.serve import _parser as local_parser

    page = (ROOT / "docs/local.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE))
    offered = set(re.findall(r"--[a-z-]+", local_parser().format_help())) - {"--help"}
    assert documented == offered


def test_python_modules_that_are_run_exist() -> None:
    for block, line in spoken():
        for module in re.findall(r"python -m ((?:scripts|examples|worker|benchmarks)[\w.]*)", line):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), str(block)


def test_shell_blocks_can_be_read_by_a_shell() -> None:
    for block in blocks("sh"):
        subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)


def test_python_blocks_are_python() -> None:
    for block in blocks("python"):
        ast.parse(block.text, str(block))


# --- names ---------------------------------------------------------------------------------------


def test_named_tests_exist() -> None:
    named = [match.groups() for page in PAGES for match in _TEST.finditer(page.read_text("utf-8"))]
    assert len(named) > 30
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []


def test_all_defects_are_listed() -> None:
    page = (ROOT / "docs/defects.md").read_text("utf-8")
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == list(range(1, 34))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text("utf-8")):
        path, _, _ = target.partition("#")
        if path and "://" not in path:
            assert (page.parent / path).exists(), target


def test_files_named_in_the_readme_exist() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("## Where to find things")[2]
    for row in re.findall(r"^\| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)[1:]:
        names = re.findall(r"`([^`]+)`", row)
        folder = Path(names[0]).parent if names else Path()
        for name in names:
            places = [ROOT.glob(name), ROOT.glob(str(folder / name))]
            assert any(any(place) for place in places), name
