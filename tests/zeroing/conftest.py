# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper, built once, and machines that boot it."""

from __future__ import annotations

import subprocess
import sys
import types
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for _name, _path in (("", []), (".ganeti", []), (".ganeti.cluster", [str(ROOT)])):
    _module = types.ModuleType(f"ansible_collections{_name}")
    _module.__path__ = _path  # makes the collection importable from its source tree
    sys.modules.setdefault(_module.__name__, _module)

from .machine import Machine  # noqa: E402

BUILD = ROOT / "roles/zeroing_image/files/build.py"
KEPT = Path("~/.cache/ganeti.cluster/zeroing").expanduser()
"""Where packages and the helper are kept between runs; what is there and fits is not made again."""


def build(directory: Path, *options: str) -> str:
    """What building the helper says."""
    command = [sys.executable, str(BUILD), str(directory), "--packages", str(KEPT / "packages"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> Path:
    """The helper."""
    build(KEPT / "image")
    return KEPT / "image"


@pytest.fixture
def boot(image: Path) -> t.Iterator[t.Callable[..., Machine]]:
    """Boots the helper on a disk."""
    started: t.List[Machine] = []

    def start(disk: Path, **how: t.Any) -> Machine:
        started.append(Machine(image, disk, **how))
        return started[-1]

    yield start
    for each in started:
        each.close()
