# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Ansible gives the defaults of the action group to every module. All get as far as a refusal of their own, which needs no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEANT = "alpha.example.com"
DEFAULTS = {
    "transport": "luxi", "address": MEANT, "cluster_name": MEANT, "ssh": {"user": "root", "password": "opensesame"},
    "rapi": {"username": "ansible", "password": "opensesame"}, "lock_timeout": 10, "job_timeout": 20,
}  # fmt: skip
NO_NODE = f"This host is no node of {MEANT}"
WRONG_WAY = f"address is {MEANT}, but transport luxi reaches only the host that it runs on"
NO_MASTER = "is no node of a Ganeti cluster"
CASES = {
    "backend_storage": ({"storage": "disk"}, NO_MASTER),
    "backend_storage_info": ({}, NO_NODE),
    "cluster": ({"candidate_pool_size": "5"}, WRONG_WAY),
    "cluster_info": ({}, WRONG_WAY),
    "compression_benchmark_info": ({"name": "web1.example.com", "network_rate": 1}, WRONG_WAY),
    "compression_tool": ({"name": "lzop"}, NO_NODE),
    "config_history_info": ({"kind": "cluster"}, NO_NODE),
    "config_rollback": ({"kind": "cluster", "serial": 1}, NO_NODE),
    "disk_image": ({"src": "/a", "dest": "/b"}, NO_NODE),
    "disk_image_info": ({"path": "/a"}, NO_NODE),
    "export_info": ({}, WRONG_WAY),
    "instance": ({"name": "web1.example.com"}, WRONG_WAY),
    "instance_export": ({"name": "web1.example.com", "target_node": "node2.example.com"}, WRONG_WAY),
    "instance_info": ({}, WRONG_WAY),
    "instance_move": ({"name": "no host", "source": {"address": MEANT}}, "name is 'no host', which is not a host name"),
    "instance_zero": ({"name": "web1.example.com"}, WRONG_WAY),
    "job_info": ({"jobs": [0]}, "0 is no job's id"),
    "master_failover": ({"new_master": "no host"}, "'no host' is no name of a host for SSH"),
    "redistribute_config": ({}, NO_MASTER),
}


def test_every_module_is_tried():
    assert set(CASES) == {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}


def test_defaults_of_the_group_break_no_module(tmp_path):
    if os.path.exists("/var/lib/ganeti/ssconf_cluster_name"):
        pytest.skip("this host is a node of a cluster")
    tasks = [{f"ganeti.cluster.{name}": arguments, "register": f"of_{name}", "ignore_errors": True} for name, (arguments, _words) in CASES.items()]
    told = "{{ {" + ", ".join(f"'{name}': of_{name}" for name in CASES) + "} | to_json }}"
    tasks.append({"ansible.builtin.copy": {"content": told, "dest": str(tmp_path / "told.json"), "mode": "0600"}})
    defaults = {"group/ganeti.cluster.ganeti": DEFAULTS}
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}]))
    place = tmp_path / "collections/ansible_collections/ganeti"
    place.mkdir(parents=True)
    (place / "cluster").symlink_to(ROOT)
    places = {f"ANSIBLE_{name}": str(tmp_path / name) for name in ("REMOTE_TMP", "LOCAL_TEMP")}
    variables = {**os.environ, **places, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "play.json")]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "told.json").read_text())
    for name, (_arguments, words) in CASES.items():
        assert results[name]["failed"] and words in results[name]["msg"], (name, results[name])
    assert "opensesame" not in done.stdout + done.stderr + json.dumps(results)
