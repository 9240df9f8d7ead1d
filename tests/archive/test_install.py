# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive installs into an empty environment, and works there with the oldest and the newest ansible-core."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from .cores import ROOT, Controller

WITHOUT_DOCUMENTATION = {"action", "doc_fragments", "module_utils", "plugin_utils"}
"""Kinds of plugins that have none; an action's is its module's."""


def documentation(controller: Controller, kind: str, names: list[str]) -> dict[str, t.Any]:
    """What ansible-doc says of plugins or roles, by their short names."""
    found = json.loads(controller.run("ansible-doc", "--json", "--type", kind, *(f"ganeti.cluster.{name}" for name in names)))
    assert sorted(found) == sorted(f"ganeti.cluster.{name}" for name in names)
    return {name.rpartition(".")[2]: document for name, document in found.items()}


def stems(path: str, pattern: str) -> list[str]:
    """Names of what the checkout has, without their endings."""
    found = sorted(file.stem for file in (ROOT / path).glob(pattern) if file.stem != "__init__")
    assert found
    return found


def test_it_has_the_version_of_the_repository(controller: Controller) -> None:
    found = json.loads(controller.run("ansible-galaxy", "collection", "list", "--format", "json"))
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert found[str(controller.collections / "ansible_collections")]["ganeti.cluster"] == {"version": version}


@pytest.mark.parametrize("directory", sorted(path.name for path in (ROOT / "plugins").iterdir() if path.name not in WITHOUT_DOCUMENTATION))
def test_every_plugin_is_documented(controller: Controller, directory: str) -> None:
    kind = "module" if directory == "modules" else directory
    for name, document in documentation(controller, kind, stems(f"plugins/{directory}", "*.py")).items():
        assert document["doc"]["short_description"] and document["doc"]["description"], name
        assert controller.installed in Path(document["doc"]["filename"]).parents, name
        assert yaml.safe_load(document["examples"]), name
        assert document["return"] or kind != "module", name


def test_every_role_is_documented(controller: Controller) -> None:
    for name, document in documentation(controller, "role", stems("roles", "*")).items():
        main = document["entry_points"]["main"]
        assert main["short_description"] and main["options"], name


def test_every_playbook_is_found_and_read(controller: Controller) -> None:
    """Those in the archive, and the demo, which uses one of them."""
    names = stems("playbooks", "*.yml")
    demo = ROOT / "tests/demo/demo.yml"
    said = controller.run(
        "ansible-playbook", "--inventory", ROOT / "molecule/inventory.yml", "--syntax-check", *(f"ganeti.cluster.{name}" for name in names), demo
    )  # fmt: skip
    assert [line for line in said.splitlines() if line] == [f"playbook: {controller.installed / 'playbooks' / name}.yml" for name in names] + [
        f"playbook: {demo}"
    ]


def test_a_module_runs_from_it(controller: Controller) -> None:
    """As far as it can where only ansible-core is: it names the library that it lacks, which a password is given with."""
    said = controller.run(
        "ansible", "localhost", "--inventory=localhost,", "--connection=local", "--extra-vars=ansible_python_interpreter={{ ansible_playbook_python }}",
        "--module-name=ganeti.cluster.cluster_info", '--args={"transport": "ssh", "address": "192.0.2.1", "ssh": {"password": "x"}}', status=2,
    )  # fmt: skip
    assert "FAILED" in said and "paramiko" in said
    assert "Traceback" not in said
