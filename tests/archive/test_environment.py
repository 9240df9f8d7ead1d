# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Execution environments: what ansible-builder makes of the archive, as far as it comes without running a container."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from bindep.depends import Depends
from packaging.requirements import Requirement

COLLECTION = "ansible_collections/ganeti/cluster"
PACKAGES = {"platform:dpkg": {"openssh-client"}, "platform:rpm": {"openssh-clients"}}


class Image(t.NamedTuple):
    """A build context, and what its image would find out about the collection that is installed into it."""

    context: Path
    requirements: list[str]
    packages: str


def builder(program: Path, *arguments: str | Path) -> str:
    """Run a program of ansible-builder's with the tests' own Python; what it writes."""
    done = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Create a context with the archive in it, install that where the image would, and run the context's own introspection on it."""
    directory = tmp_path_factory.mktemp("environment")
    definition = {
        "version": 3,
        "images": {"base_image": {"name": "registry.example/python:3.11"}},
        "dependencies": {
            "ansible_core": {"package_pip": "ansible-core>=2.19"},
            "ansible_runner": {"package_pip": "ansible-runner"},
            "galaxy": {"collections": [{"name": archive.name, "type": "file"}]},
        },
        "additional_build_files": [{"src": str(archive), "dest": "archives"}],
    }
    (directory / "execution-environment.yml").write_text(yaml.safe_dump(definition))
    context = directory / "context"
    programs = Path(sys.executable).parent
    builder(programs / "ansible-builder", "create", "--file", directory / "execution-environment.yml", "--context", context)

    installed = directory / "installed"
    subprocess.run(
        [programs / "ansible-galaxy", "collection", "install", archive, "--offline", "--collections-path", installed],
        check=True, capture_output=True, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_HOME": str(directory / "home")},
    )  # fmt: skip
    pip, bindep = directory / "pip.txt", directory / "bindep.txt"
    builder(context / "_build/scripts/introspect.py", "introspect", installed, f"--write-pip={pip}", f"--write-bindep={bindep}")
    lines = (line.partition("#")[0].strip() for line in pip.read_text().splitlines())
    return Image(context, [line for line in lines if line], bindep.read_text())


def test_the_context_is_complete(image: Image, archive: Path) -> None:
    assert "COPY" in (image.context / "Containerfile").read_text()
    assert (image.context / "_build/archives" / archive.name).read_bytes() == archive.read_bytes()
    wanted = yaml.safe_load((image.context / "_build/requirements.yml").read_text())
    assert [collection["name"] for collection in wanted["collections"]] == [archive.name]


def test_python_requirements_are_those_of_the_collection(image: Image, unpacked: Path) -> None:
    lines = (unpacked / "requirements.txt").read_text().splitlines()
    own = {Requirement(line).name: Requirement(line).specifier for line in lines if not line.startswith("#")}
    assert set(own) == {"cryptography", "jmespath", "paramiko"}
    assert {Requirement(line).name: Requirement(line).specifier for line in image.requirements} == own


@pytest.mark.parametrize("platform", sorted(PACKAGES))
def test_system_packages_are_named_for_each_family(image: Image, platform: str) -> None:
    rules = Depends(image.packages).active_rules([platform])
    assert {name for name, _selectors, _versions in rules} == PACKAGES[platform]


def test_the_tests_run_with_what_is_required(image: Image) -> None:
    """pip finds each requirement met here, so it is no version that nobody has tried."""
    builder(Path(sys.executable).with_name("pip"), "install", "--dry-run", "--no-index", "--no-deps", "--disable-pip-version-check", *image.requirements)
