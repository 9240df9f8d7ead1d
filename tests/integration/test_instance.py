# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances made, changed, started, stopped and removed, on both releases; read back by Ganeti itself, and each second run changes nothing."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.instance import table

from .conftest import make
from .lab import STORAGE

ON = {"alpha": ("a2", "a3"), "beta": ("b1", "b2")}
READ = (
    "import json, sys; sys.path.insert(0, '/usr/share/ganeti/default'); from ganeti import opcodes; "
    "print(json.dumps({op_id: [each[0] for each in op.OP_PARAMS] for op_id, op in opcodes.OP_MAPPING.items()}))"
)
BOTH = pytest.mark.parametrize("cluster", ON)


class Runs:
    """Runs of the modules on a cluster, about one instance."""

    def __init__(self, lab, cluster, name):
        self.lab, self.cluster, self.name = lab, cluster, name

    def __call__(self, *options, by="ssh", module="instance", name=None, **given):
        way = {"transport": "ssh", **self.lab.side(self.cluster)} if by == "ssh" else self.lab.rapi(self.cluster)
        name = name or self.name
        return self.lab.module(module, {**way, "name": name if module == "instance" else [name], **given}, options=options)

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
    installed = json.loads(lab.master(cluster, "python3", "-c", READ))
    gone = {"hotplug_if_possible"} if lab.release(cluster).startswith("3.1") else set()
    for kind, (op_id, left_out) in table.FIELDS.items():
        known = {getattr(row, kind) for row in table.TABLE} - {""} | set(left_out)
        assert len(known) > 4 and known - gone == set(installed[op_id]), op_id


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
    whole = runs(module="instance_info", query="instances[?oper_state].disks[].name")
    (told,) = whole["instances"]
    assert told == made["instance"] and told["oper_state"] is True and whole["result"] == ["root"]

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


@BOTH
def test_another_name_disk_template_and_installation(lab, cluster, runs, other):
    node = f"{ON[cluster][0]}.lab.example"
    runs(
        state="started", os="slow", install=False, hypervisor="fake", disk_template="file", primary_node=node, beparams={"memory": 64},
        disks=[{"name": "root", "size": 64}], nics=[{"ip": "10.99.0.1"}], osparams={"flavour": "vanilla", "region": "north"},
    )  # fmt: skip
    (uuid,) = runs.told("uuid")
    path = f"{STORAGE}/{runs.name}"
    lab.run(ON[cluster][0], "sh", "-c", f"echo what was written | dd conv=notrunc status=none of=$(ls {path}/*)")
    assert f"{runs.name} runs, and is renamed only while it is stopped" in runs.refused(new_name=other)
    extern = {"disk_template": "ext", "ext_params": {"provider": "loopdev"}}
    wanted = {"new_name": other, **extern, "state": "reinstalled", "os": "noop", "restart_if_pending": True}
    rehearsed = runs("--check", **wanted)
    assert rehearsed["changed"] and runs.told("disk_template", "status") == ["file", "running"], rehearsed
    changed = runs.twice(**wanted, osparams={"flavour": "mint"})
    assert changed["diff"]["after"]["name"] == other and changed["pending"] == [] and runs.told("uuid") is None
    fields = ("uuid", "disk_template", "os", "status", "disk.names", "tags", "custom_osparams")
    told = lab.fields(cluster, other, *fields)
    assert told[:6] == [uuid, "ext", "noop", "running", "root", ""] and "north" in told[6] and "mint" in told[6], told

    make(lab, cluster, ON[cluster][0], runs.name, data=0, start=False)
    assert f"there is {other} besides" in runs.refused(new_name=other)
    lab.remove(cluster, runs.name)

    runs.twice(by="rapi", name=other, state="stopped", disk_template="file", new_name=runs.name)
    assert runs.told("uuid", "disk_template", "status") == [uuid, "file", "ADMIN_down"]
    assert lab.run(ON[cluster][0], "sh", "-c", f"head -c 16 {path}/*") == "what was written"
    assert "cannot be read over RAPI" in runs.refused(by="rapi", state="reinstalled")
    assert runs("--check", by="rapi", new_name=other, disk_template="sharedfile")["changed"] and runs("--check", state="reinstalled")["changed"]
    assert runs.told("disk_template", "tags") == ["file", ""] and "disks are not converted to none" in runs.refused(disk_template="diskless")
