# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role on this machine, which is the controller, makes the helper, and is the only node."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import KEPT, ROOT


@pytest.fixture
def play(tmp_path):
    """Runs the role; what changed, and what Ansible printed."""
    place = tmp_path / "collections/ansible_collections/ganeti"
    place.mkdir(parents=True)
    (place / "cluster").symlink_to(ROOT)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/packages").symlink_to(KEPT / "packages")
    variables = {
        "zeroing_image_builder": "localhost", "zeroing_image_update_lists": False, "zeroing_image_directory": f"{tmp_path}/node",
        "zeroing_image_build_directory": f"{tmp_path}/build", "zeroing_image_controller_directory": f"{tmp_path}/controller",
    }  # fmt: skip
    roles = [{"role": "ganeti.cluster.zeroing_image", "vars": variables}]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": roles}]))

    def run(*options):
        places = {f"ANSIBLE_{name}": str(tmp_path / name) for name in ("REMOTE_TMP", "LOCAL_TEMP")}
        environment = {**os.environ, **places, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1"}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "play.json"), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return int(re.search(r"changed=(\d+)", done.stdout)[1])

    return run


def test_it_puts_the_helper_on_nodes_and_changes_nothing_again(tmp_path, image, play):
    node = tmp_path / "node"
    assert play("--check") == 1 and not node.exists()
    assert play() == 3
    for name in ("vmlinuz", "initrd.img"):
        assert (node / name).read_bytes() == (image / name).read_bytes()
    assert sorted(path.name for path in node.iterdir()) == ["initrd.img", "vmlinuz"]
    assert play() == 0 == play("--check")
    (node / "initrd.img").write_bytes(b"something else")
    assert play("--check") == 1 and play() == 1
    assert (node / "initrd.img").read_bytes() == (image / "initrd.img").read_bytes()
