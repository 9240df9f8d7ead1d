# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive holds what a user needs, and nothing else."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

KIB = 1024
ENTRIES = {
    "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING", "FILES.json", "LICENSES", "MANIFEST.json", "README.md", "REUSE.toml",
    "changelogs", "docs", "meta", "playbooks", "plugins", "requirements.txt", "roles",
}  # fmt: skip
KINDS = {
    "changelogs": {"changelog.yaml"}, "docs": {".md", ".svg"}, "LICENSES": {".txt"}, "meta": {".yml", ".txt"}, "playbooks": {".yml"},
    "plugins": {".py"}, "roles": {".j2", ".md", ".py", ".sh", ".yml"},
}  # fmt: skip
"""The names or the endings of files in directories."""
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def files(directory: Path) -> list[Path]:
    """All files below a directory, relative to it."""
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def test_the_top_level_has_what_was_agreed(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == ENTRIES


def test_directories_hold_files_of_their_kind(unpacked: Path) -> None:
    strangers = [path for path in files(unpacked) if len(path.parts) > 1 and not {path.name, path.suffix} & KINDS[path.parts[0]]]
    assert strangers == []


def test_it_is_small(archive: Path, unpacked: Path) -> None:
    assert archive.stat().st_size < 1024 * KIB
    assert [path for path in files(unpacked) if (unpacked / path).stat().st_size > 240 * KIB] == []


def test_nothing_is_a_link_or_may_be_written_by_others(archive: Path) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    assert not any(member.mode & 0o022 for member in members)


def test_links_lead_to_pages_that_are_in_it(unpacked: Path) -> None:
    """CONTRIBUTING.md speaks of the repository and is not for users."""
    pages = [path for path in files(unpacked) if path.suffix == ".md" and path.name != "CONTRIBUTING.md"]
    links = [(page, link) for page in pages for link in LINK.findall((unpacked / page).read_text())]
    assert len(links) > 20
    assert [f"{page}: {link}" for page, link in links if not (unpacked / page.parent / link).resolve().is_file()] == []


def test_each_picture_is_on_a_page(unpacked: Path) -> None:
    shown = {(page.parent / link).name for page in (unpacked / "docs").glob("*.md") for link in LINK.findall(page.read_text())}
    assert [path.name for path in files(unpacked) if path.suffix == ".svg" and path.name not in shown] == []


def test_the_licences_are_the_same_as_in_the_repository(unpacked: Path) -> None:
    """COPYING is where people and Galaxy look, LICENSES where REUSE does."""
    manifest = json.loads((unpacked / "MANIFEST.json").read_text())["collection_info"]
    assert {path.stem for path in (unpacked / "LICENSES").iterdir()} == set(manifest["license"])
    assert (unpacked / "COPYING").read_bytes() == (unpacked / "LICENSES/GPL-3.0-or-later.txt").read_bytes()


@pytest.mark.parametrize("word", ["@ganeti)", "@ganeti "])
def test_nobody_poses_as_the_organisation_of_ganeti(unpacked: Path, word: str) -> None:
    documented = [path for path in files(unpacked) if path.suffix in {".py", ".yml"} or path.name == "MANIFEST.json"]
    assert [path for path in documented if word in (unpacked / path).read_text()] == []
