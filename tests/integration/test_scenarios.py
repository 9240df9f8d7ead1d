# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's scenarios, which run the playbooks on the lab: twice, the second time without a change, and verify what they did."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .lab import ROOT

CLUSTERS = {"backend_storage": "delta", "compression_tools": "gamma", "etcd": "delta", "zeroing_image": "delta"}
"""Where each takes place."""


@pytest.mark.parametrize("scenario", [pytest.param(scenario, marks=pytest.mark.apart(cluster)) for scenario, cluster in CLUSTERS.items()])
def test_scenario(lab, scenario):
    command = [str(Path(sys.executable).parent / "molecule"), "test", "--destroy=never", "--scenario-name", scenario]
    environment = {**os.environ, "NO_COLOR": "1", "PY_COLORS": "0", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, f"{failures(done.stdout)}\nThe whole of it:\n{done.stdout}{done.stderr}"


def failures(output):
    """Of what Ansible printed, the tasks that failed, each as it ends: whoever reads a cut report sees the reason."""
    tasks = re.split(r"(?m)^(?=TASK \[)", output.replace("  TASK [", "TASK ["))
    return "\n".join(task[-3000:] for task in tasks if re.search(r"(?m)^\s*(fatal|failed): ", task))


def test_none_is_forgotten():
    assert set(CLUSTERS) == {path.parent.name for path in ROOT.glob("molecule/*/converge.yml")}
