# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that succeed: everything arrives, the source is fenced or gone, a second run changes nothing."""

from __future__ import annotations

PARAMETERS = ("be/maxmem", "be/minmem", "be/vcpus", "be/spindle_use", "custom_osparams", "nic.ips", "nic.names", "nic.macs", "nic.modes", "nic.links",
              "disk.names", "disk.sizes", "tags", "os", "hypervisor", "disk_template")  # fmt: skip


def configuration(lab, cluster):
    """A cluster's whole configuration, secrets included."""
    return lab.ganeti(cluster).configuration()


def test_everything_comes_along(lab, instance, move, way):
    name = instance(
        nics=[{"ip": "10.99.0.1", "name": "front"}, {"link": "200", "mode": "routed", "ip": "10.99.0.2"}],
        disks=[{"size": 256, "name": "root"}, {"size": 64, "mode": "ro"}], beparams={"maxmem": 96, "minmem": 64, "vcpus": 2, "spindle_use": 3},
        osparams={"flavour": "vanilla"}, osparams_private={"region": "moon"}, tags=["prod", "owner:me"],
    )  # fmt: skip
    described = lab.fields("alpha", name, *PARAMETERS)
    disks = lab.digests(way.source, name)

    rehearsed = move(check_mode=True, **way.node).result()
    assert rehearsed["changed"] and rehearsed["action"] == "move"
    assert lab.fields("alpha", name, "status", "tags") == ["running", "owner:me,prod"]
    assert lab.fields("beta", name, "status") is None

    run = move(command=True, **way.node)
    moved = run.result()
    assert moved["changed"] and not moved["failed"], moved
    (private,) = [each["osparams_private"] for each in configuration(lab, "beta")["instances"].values() if each["name"] == name]
    assert private == {"region": "moon"} and "moon" not in "".join(run.lines)
    assert lab.fields("beta", name, *PARAMETERS) == described
    assert lab.fields("beta", name, "pnode", "status") == [f"{way.destination}.lab.example", "running"]
    copied = lab.digests(way.destination, name)
    assert {number: digest for number, (digest, _size) in copied.items()} == {number: digest for number, (digest, _size) in disks.items()}
    assert all(copied[number][1] <= disks[number][1] + 64 for number in disks), "sparseness was lost"
    modes = lab.master("beta", "gnt-instance", "info", name)
    assert modes.count("access mode: ro") == 1 and modes.count("access mode: rw") == 1
    assert any("copy 100 %" in line for line in run.lines)

    status, tags = lab.fields("alpha", name, "status", "tags")
    assert status == "ADMIN_offline" and f"ganeti-move:{moved['move_id']}:moved-to:" in tags
    assert "offline" in lab.master("alpha", "gnt-instance", "start", name, check=False) or lab.fields("alpha", name, "status") == ["ADMIN_offline"]

    again = move(**way.node).result()
    assert not again["changed"] and again["action"] == "none" and again["move_id"] == moved["move_id"]
    assert lab.endpoints(name, way.source, way.destination) == []


def test_through_rapi_with_another_name_and_the_source_removed(lab, instance, move, other, way):
    name = instance(start=False)
    disks = lab.digests(way.source, name)
    arguments = {
        "source": {**lab.rapi("alpha"), "cluster_name": "alpha.lab.example"}, "destination": lab.rapi("beta"), "destination_name": other,
        "opportunistic_tries": 1, "opportunistic_delay": 1, "compress": "lzop", "verify": "readback", "source_after": "removed",
        "nics": [{"index": 0, "mac": "generate", "ip": "10.99.0.9"}],
    }  # fmt: skip
    mac = lab.fields("alpha", name, "nic.macs")
    moved = move(**arguments).result()
    assert moved["changed"] and not moved["failed"], moved
    node, status, ips, macs, tags = lab.fields("beta", other, "pnode", "status", "nic.ips", "nic.macs", "tags")
    assert (status, ips, tags) == ("ADMIN_down", "10.99.0.9", "") and [macs] != mac
    assert lab.digests(node.split(".")[0], other)["0"][0] == disks["0"][0]
    assert moved["wire"] < moved["payload"] * 1.01
    assert lab.fields("alpha", name, "status") is None
    assert not move(**arguments).result()["changed"]


def test_a_pinned_certificate_an_agreed_port_and_no_start(lab, instance, move):
    """The remote API's certificate pinned instead of verified, one agreed port, and the instance left stopped."""
    name = instance()
    pem = lab.master("beta", "openssl", "x509", "-in", "/var/lib/ganeti/rapi.pem", "-noout", "-fingerprint", "-sha256").split("=")[1].strip()
    moved = move(destination=lab.rapi("beta", ca_path=None, fingerprint=pem), data_port=7333, start="no", lanes=1).result()
    assert moved["changed"] and not moved["failed"] and moved["lanes"] == 1, moved
    assert lab.fields("beta", name, "status") == ["ADMIN_down"]
