# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One command writes the release's changelog out of the fragments, or has written it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .cores import ROOT

VERSION: str = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the collection as it is after its release."""
    copy = tmp_path_factory.mktemp("release") / "ansible_collections/ganeti/cluster"
    for name in ("changelogs", "plugins", "meta", "roles"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".plugin-cache.yaml"))
    shutil.copy(ROOT / "CHANGELOG.md", copy)
    shutil.copy(ROOT / "galaxy.yml", copy)
    history = copy / "changelogs/changelog.yaml"
    done = history.exists() and VERSION in yaml.safe_load(history.read_text())["releases"]
    program = Path(sys.executable).parent
    command = "generate" if done else "release"
    subprocess.run(
        [program / "antsibull-changelog", command],
        cwd=copy,
        check=True,
        env={"PATH": f"{program}:/usr/bin:/bin", "HOME": str(copy.parent), "LC_ALL": "C.UTF-8"},
    )
    if done:
        assert (copy / "CHANGELOG.md").read_text() == (ROOT / "CHANGELOG.md").read_text()
    return copy


def test_the_release_is_in_the_history(released: Path) -> None:
    release = yaml.safe_load((released / "changelogs/changelog.yaml").read_text())["releases"][VERSION]
    assert release["changes"]["release_summary"]
    assert release["release_date"]


def test_people_can_read_it(released: Path) -> None:
    text = (released / "CHANGELOG.md").read_text()
    assert f'<a href="#v{VERSION.replace(".", "-")}">' in text and "Release Summary" in text


def test_it_tells_since_when_there_is_each_module(released: Path) -> None:
    """antsibull-changelog takes a module for new when its ``version_added`` is the release's."""
    releases = yaml.safe_load((released / "changelogs/changelog.yaml").read_text())["releases"]
    told = sorted(module["name"] for release in releases.values() for module in release.get("modules", []))
    assert told == MODULES
