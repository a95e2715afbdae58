"""What building CellProfiler's Java bridge needs of the machine: compiler, Python headers, JDK.

A missing compiler or JDK is installed on Debian and Ubuntu when we are root (and that is said);
otherwise `Missing` names what is missing and how to get it. Nothing else is ever installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

#: There on Debian and what is made of it (Ubuntu), and nowhere else.
DEBIAN = Path("/etc/debian_version")


class Missing(Exception):
    """Something the machine must have; one line says what, and how to get it."""


@dataclass(frozen=True)
class Jdk:
    """A Java development kit: `home` has bin/javac and include/jni.h; `libjvm` runs programs."""

    home: Path
    libjvm: Path


def ensure() -> Jdk:
    """The JDK to build with, once all that is needed is there. Raises Missing."""
    if not find_compiler():
        apt_install("a C compiler (gcc)", ["gcc", "libc6-dev"])
        if not find_compiler():
            raise Missing("gcc was installed, but isn't on the PATH")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Missing(
            f"{sys.executable} has no headers ({header}). Debian and Ubuntu: apt-get install "
            f"python{minor}-dev; or make PYTHON=... names another Python 3.11 or 3.12"
        )
    jdk = find_jdk()
    if jdk is None:
        apt_install("a Java development kit (javac, jni.h)", ["default-jdk-headless"])
        jdk = find_jdk()
        if jdk is None:
            raise Missing("default-jdk-headless was installed, but no JDK was found; set JAVA_HOME")
    return jdk


def find_compiler() -> str | None:
    """The C compiler that an extension module would be built with."""
    configured = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    return shutil.which(configured[0])


def find_jdk() -> Jdk | None:
    """From JAVA_HOME, from the javac on the PATH, from where Linux distributions put JDKs."""
    homes = []
    if os.environ.get("JAVA_HOME"):
        homes.append(Path(os.environ["JAVA_HOME"]))
    javac = shutil.which("javac")
    if javac:
        homes.append(Path(javac).resolve().parent.parent)
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    return next((jdk for jdk in map(jdk_at, homes) if jdk), None)


def jdk_at(home: Path) -> Jdk | None:
    """The JDK in a folder, if there is a whole one (a runtime alone can't build)."""
    if not (home / "bin" / "javac").exists() or not (home / "include" / "jni.h").exists():
        return None
    # lib/server since Java 9, jre/lib/amd64/server before.
    libjvm = next(iter(sorted(home.glob("**/server/libjvm.*"))), None)
    return Jdk(home, libjvm) if libjvm else None


def apt_install(what: str, packages: list[str]) -> None:
    """Install Debian packages if we may; raise Missing if not, or if it fails."""
    names = " ".join(packages)
    apt = shutil.which("apt-get")
    if not apt or not DEBIAN.exists():
        raise Missing(f"CellProfiler needs {what}; install it and run this again")
    if os.geteuid() != 0:
        raise Missing(f"CellProfiler needs {what}: sudo apt-get install {names}")
    print(
        f"CellProfiler needs {what}: installing {names} with apt-get ...",
        file=sys.stderr,
        flush=True,
    )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [apt, "-qq", *command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # A failed update may be one stale mirror of many: what counts is the install.
        if done.returncode != 0 and command[0] == "install":
            raise Missing(f"{done.stdout}\napt-get install {names} failed (see above)")
