# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples in the modules' documentation as plays for the lab, whose names take the place of those that the examples have."""

from __future__ import annotations

import ast
import json
import typing as t
from pathlib import Path

import yaml

from . import programs
from .lab import LONGEST, ROOT, Lab

INVENTORY = ROOT / "molecule/inventory.yml"


def source(module: str) -> str:
    """The text of a module's examples."""
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    (found,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXAMPLES"]
    return str(ast.literal_eval(found))


def is_of_etcd(module: str, task: t.Mapping[str, t.Any]) -> bool:
    """Whether an example is about a cluster that stores in etcd, as a cluster cannot while it stores in CouchDB."""
    return bool((task.get(f"ganeti.cluster.{module}") or {}).get("etcd"))


def plays(lab: Lab, module: str, names: t.Mapping[str, str], host: str, etcd: bool = False) -> t.List[t.Dict[str, t.Any]]:
    """The examples with other names. Tasks become a play for *host*; the way to the lab's hosts comes from the defaults of the action group.

    Those about *etcd* alone, or all others.
    """
    text = source(module)
    for name in sorted(names, key=len, reverse=True):
        assert name in text, f"the examples of {module} have no {name} any more"
        text = text.replace(name, names[name])
    assert ".example.com" not in text, f"what stands for these in the examples of {module}? {text}"
    found = yaml.safe_load(text)
    made = found if "hosts" in found[0] else [{"hosts": host, "tasks": found}]
    ssh = {"config_file": lab.description["ssh_config"]}
    for play in made:
        play.update(gather_facts=False, module_defaults={"group/ganeti.cluster.ganeti": {"ssh": ssh, "lock_timeout": 120, "job_timeout": 300}})
        play["tasks"] = [task for task in play["tasks"] if is_of_etcd(module, task) is etcd]
        for task in play["tasks"]:
            arguments = task.get(f"ganeti.cluster.{module}") or {}
            for each in (arguments, arguments.get("source"), arguments.get("destination")):
                if each and each.get("transport") == "rapi":  # its certificate is for the address
                    each["address"] = next(cluster["address"] for cluster in lab.description["clusters"].values() if cluster["name"] == each["address"])
            for side in ("source", "destination"):  # for which there are no defaults
                if side in arguments:
                    arguments[side]["ssh"] = ssh
    return t.cast("t.List[t.Dict[str, t.Any]]", made)


def rehearse(
    lab: Lab,
    module: str,
    names: t.Mapping[str, str],
    host: str,
    place: Path,
    variables: t.Mapping[str, str],
    group: t.Sequence[str] = (),
    etcd: bool = False,
) -> str:
    """Run a module's examples in check mode, those about *etcd* or all others; each must succeed. What Ansible shows. *group* are the group webservers."""
    playbook, inventory = place / "examples.json", place / "webservers.yml"
    playbook.write_text(json.dumps(plays(lab, module, names, host, etcd)))
    nodes = {} if host == "localhost" else {host: {"ansible_python_interpreter": "/usr/bin/python3"}}
    inventory.write_text(json.dumps({"all": {"hosts": nodes}, "webservers": {"hosts": dict.fromkeys(group)}}))
    arguments = ["-i", str(INVENTORY), "-i", str(inventory), "--check", "--diff", "-e", json.dumps(variables), str(playbook)]
    program = programs.playbook(*arguments)
    shown = programs.output_of(program, LONGEST)
    assert program.poll() == 0, shown
    return shown
