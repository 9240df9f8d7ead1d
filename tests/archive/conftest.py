# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures: the archive, what is in it, and controllers that have it installed. Run these tests with ``make test-dist``."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from .cores import ROOT, Controller, environment, newest, oldest


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, built from what git knows or would take."""
    directory = tmp_path_factory.mktemp("archive")
    built = subprocess.run(
        [ROOT / "tests/tools/dist", "build", directory], stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "VENV": sys.prefix}
    )
    return Path(built.stdout.strip())


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that it was unpacked into."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    return directory


@pytest.fixture(scope="session", params=[oldest, newest], ids=lambda core: core.__name__)
def controller(request: pytest.FixtureRequest, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """One with the oldest and one with the newest ansible-core, and the archive installed as a user would do it, without network."""
    result = Controller(environment(request.param()), tmp_path_factory.mktemp("home"))
    result.run("ansible-galaxy", "collection", "install", archive, "--offline", "--collections-path", result.collections)
    return result
