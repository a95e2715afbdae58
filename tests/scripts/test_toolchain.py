"""What the machine must have: found where it is, installed where we may, named where not."""

import os
from pathlib import Path

import pytest

from scripts import toolchain


def make_jdk(home: Path) -> Path:
    for name in ("bin/javac", "include/jni.h", "lib/server/libjvm.so"):
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    return home


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_jdk(tmp_path / "jdk")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert toolchain.find_jdk() == toolchain.Jdk(home, home / "lib/server/libjvm.so")


def test_a_jdk_is_found_through_the_link_of_its_javac(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_jdk(tmp_path / "jdk")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "javac").symlink_to(home / "bin" / "javac")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = toolchain.find_jdk()
    assert found is not None
    assert found.home == home


@pytest.mark.parametrize("missing", ["bin/javac", "include/jni.h", "lib/server/libjvm.so"])
def test_half_a_jdk_is_none(tmp_path: Path, missing: str) -> None:
    home = make_jdk(tmp_path / "jdk")
    (home / missing).unlink()
    assert toolchain.jdk_at(home) is None


def test_without_apt_the_message_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(toolchain.Missing, match="CellProfiler needs a C compiler"):
        toolchain.apt_install("a C compiler (gcc)", ["gcc"])


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian whose apt-get writes down how it was called; gives that file."""
    calls = tmp_path / "calls"
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ ! -e {tmp_path}/broken ]\n')
    apt.chmod(0o755)
    marker = tmp_path / "debian_version"
    marker.touch()
    monkeypatch.setattr(toolchain, "DEBIAN", marker)
    monkeypatch.setenv("PATH", str(tmp_path))
    return calls


def test_not_root_is_told_the_command(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(toolchain.Missing, match="sudo apt-get install default-jdk-headless"):
        toolchain.apt_install("a Java development kit", ["default-jdk-headless"])
    assert not debian.exists()


def test_root_gets_it_installed_and_is_told(
    debian: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    toolchain.apt_install("a Java development kit", ["default-jdk-headless"])
    assert "installing default-jdk-headless with apt-get" in capsys.readouterr().err
    update, install = debian.read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("install --yes --no-install-recommends default-jdk-headless")


def test_a_failed_install_is_said(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (debian.parent / "broken").touch()
    with pytest.raises(toolchain.Missing, match="apt-get install gcc failed"):
        toolchain.apt_install("a C compiler (gcc)", ["gcc"])
