# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user installs moves an instance: the archive and nothing else, by its own playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import make
from .lab import LONGEST, ROOT


@pytest.fixture
def installed(tmp_path):
    """A directory that the archive was installed into, as ansible-galaxy does it; no other collection of ours is found there."""
    place = tmp_path / "collections"
    environment = {**os.environ, "VENV": sys.prefix}
    subprocess.run([ROOT / "tests/tools/dist", "install", place], env=environment, stdout=subprocess.DEVNULL, check=True, timeout=LONGEST)
    assert not (place / "ansible_collections/ganeti/cluster/tests").exists()
    return place


def test_the_playbook_of_the_archive_moves_an_instance(lab, name, way, installed, tmp_path):
    make(lab, "alpha", way.source, name)
    options = {"primary_node": f"{way.destination}.lab.example", "journal_directory": str(tmp_path / "journal")}
    given = {"instance": name, "source": lab.side("alpha"), "destination": lab.side("beta"), "move_options": options}
    command = [Path(sys.executable).parent / "ansible-playbook", "ganeti.cluster.move_instance", "-e", json.dumps(given)]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name} was moved to {way.destination}.lab.example: " in done.stdout, done.stdout
    assert lab.fields("beta", name, "status", "pnode") == ["running", f"{way.destination}.lab.example"]
    assert lab.fields("alpha", name, "admin_state") == ["offline"]
