# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances made, changed, started, stopped and removed, on both releases; read back by Ganeti itself, and each second run changes nothing."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.instance import table

ON = {"alpha": ("a2", "a3"), "beta": ("b1", "b2")}
READ = (
    "import json, sys; sys.path.insert(0, '/usr/share/ganeti/default'); from ganeti import opcodes; "
    "print(json.dumps([[each[0] for each in op.OP_PARAMS] for op in (opcodes.OpInstanceCreate, opcodes.OpInstanceSetParams)]))"
)
BOTH = pytest.mark.parametrize("cluster", ON)


class Runs:
    """Runs of the modules on a cluster, about one instance."""

    def __init__(self, lab, cluster, name):
        self.lab, self.cluster, self.name = lab, cluster, name

    def __call__(self, *options, by="ssh", module="instance", **given):
        way = {"transport": "ssh", **self.lab.side(self.cluster)} if by == "ssh" else self.lab.rapi(self.cluster)
        name = self.name if module == "instance" else [self.name]
        return self.lab.module(module, {**way, "name": name, **given}, options=options)

    def twice(self, **given):
        """Do it, and see that the second run has nothing to do."""
        first = self(**given)
        assert first["changed"] and not first["failed"], first.get("msg", first)
        second = self(**given)
        assert not second["changed"] and not second["failed"], second.get("msg", second)
        return first

    def refused(self, **given):
        result = self(**given)
        assert result["failed"] and "Traceback" not in json.dumps(result), result
        return result["msg"]

    def told(self, *fields):
        return self.lab.fields(self.cluster, self.name, *fields)


@pytest.fixture
def runs(lab, cluster, name):
    return Runs(lab, cluster, name)


@BOTH
def test_no_field_of_the_installed_ganeti_is_missing(lab, cluster):
    created, modified = (set(fields) for fields in json.loads(lab.master(cluster, "python3", "-c", READ)))
    known = {row.create for row in table.TABLE} - {""} | set(table.LEFT_OUT_OF_CREATE)
    assert "os_type" in created and known == created
    gone = {"hotplug_if_possible"} if lab.release(cluster).startswith("3.1") else set()
    assert ({row.modify for row in table.TABLE} - {""} | set(table.LEFT_OUT_OF_MODIFY)) - gone == modified


@BOTH
def test_a_whole_life(lab, cluster, runs):
    node = f"{ON[cluster][0]}.lab.example"
    wanted = {
        "state": "started", "os": "noop", "install": False, "hypervisor": "fake", "disk_template": "file", "primary_node": node,
        "beparams": {"memory": 64, "vcpus": 1}, "disks": [{"name": "root", "size": 64, "mode": "rw"}], "nics": [{"name": "eth0", "ip": "10.99.0.1"}],
        "tags": ["web"],
    }  # fmt: skip
    rehearsed = runs("--check", **wanted)
    assert rehearsed["changed"] and rehearsed["instance"] is None and runs.told("status") is None, rehearsed
    made = runs.twice(**wanted)
    assert runs.told("status", "pnode", "be/maxmem", "tags", "disk.sizes", "nic.ips") == ["running", node, "64", "web", "64", "10.99.0.1"]
    assert made["instance"]["disks"][0]["mode"] == "rw" and made["pending"] == []
    (told,) = runs(module="instance_info")["instances"]
    assert told == made["instance"] and told["oper_state"] is True

    disks, nics = [{"name": "root", "size": 128}, {"name": "data", "size": 64}], [{"name": "eth0", "ip": "10.99.0.3"}, {"name": "eth1", "ip": "10.99.0.2"}]
    changed = runs.twice(beparams={"vcpus": 2}, tags=["db"], disks=disks, nics=nics)
    assert changed["pending"] == ["beparams.vcpus", "disks.data", "disks.root.size", "nics.eth0.ip", "nics.eth1"], changed
    assert runs.told("be/vcpus", "tags", "disk.sizes", "disk.names", "nic.count") == ["2", "db,web", "128,64", "root,data", "2"]
    assert "never made smaller" in runs.refused(disks=[{"name": "root", "size": 64}])
    assert "instance_move brings it to another node" in runs.refused(primary_node=ON[cluster][1])
    assert runs(restart_if_pending=True)["changed"] and runs.told("oper_vcpus") == ["2"]
    assert not runs(restart_if_pending=True)["changed"]

    runs.twice(state="stopped", beparams={"vcpus": "default"}, tags=["web"], exact_tags=True, disks=[{"name": "data", "state": "absent"}])
    assert runs.told("status", "tags", "disk.names") == ["ADMIN_down", "web", "root"]
    runs.twice(by="rapi", state="started", disks=[{"name": "root", "mode": "ro"}], osparams={"flavour": "vanilla"})
    assert runs.told("status") == ["running"]

    lab.master(cluster, "gnt-instance", "add-tags", runs.name, "ganeti-move:0123456789abcdef:source:up")
    assert "takes part in move 0123456789abcdef" in runs.refused(state="absent")
    lab.master(cluster, "gnt-instance", "remove-tags", runs.name, "ganeti-move:0123456789abcdef:source:up")
    assert runs("--check", state="absent")["changed"] and runs.told("status") == ["running"]
    gone = runs.twice(state="absent")
    assert gone["instance"] is None and runs.told("status") is None
    assert runs(module="instance_info")["missing"] == [runs.name]
