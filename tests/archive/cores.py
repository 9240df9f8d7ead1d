# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual environments with nothing but ansible-core in them, kept in the user's cache; and commands run in one."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import typing as t
from importlib import metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganeti.cluster/cores"
PYTHONS_OF_OLDEST = ("3.11", "3.12", "3.13")
"""Those that the oldest ansible-core runs on, the oldest first."""


class Core(t.NamedTuple):
    """An ansible-core: its version, and the Python to run it with."""

    version: str
    python: Path


def oldest() -> Core:
    """The first version that meta/runtime.yml allows, on the oldest Python here that it runs on."""
    requires = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert requires.startswith(">="), requires
    found = subprocess.run([ROOT / "tests/tools/find-python", *PYTHONS_OF_OLDEST], capture_output=True, text=True, check=True)
    return Core(requires[2:], Path(found.stdout.strip()))


def newest() -> Core:
    """The version that the tests themselves run with, which tests/tools/make-venv chose for the newest Python here."""
    return Core(metadata.version("ansible-core"), Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}"))


def environment(core: Core) -> Path:
    """The directory of programs of a virtual environment with *core* in it, made where the cache has none."""
    key = hashlib.sha256(f"{core.python}\n{core.version}".encode()).hexdigest()[:16]
    directory = CACHE / key
    complete = directory / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            subprocess.run([core.python, "-m", "venv", directory], check=True)
            subprocess.run([directory / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"ansible-core=={core.version}"], check=True)
            complete.touch()
    return directory / "bin"


class Controller(t.NamedTuple):
    """A controller with ansible-core alone, and a home directory and a directory of collections of its own."""

    programs: Path
    home: Path

    @property
    def collections(self) -> Path:
        """Where it installs collections."""
        return self.home / "collections"

    @property
    def installed(self) -> Path:
        """Where this one is then."""
        return self.collections / "ansible_collections/ganeti/cluster"

    def run(self, program: str, *arguments: str | Path, status: int = 0) -> str:
        """What a program writes to stdout. It has to end with *status*, and to warn of nothing but what is ansible-core's own."""
        done = subprocess.run(
            [self.programs / program, *arguments], capture_output=True, text=True, check=False, cwd=self.home, stdin=subprocess.DEVNULL,
            env={
                "PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C.UTF-8",
                "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            },
        )  # fmt: skip
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        assert [line for line in done.stderr.splitlines() if "WARNING" in line and "/ansible/_protomatter'" not in line] == []
        return done.stdout
