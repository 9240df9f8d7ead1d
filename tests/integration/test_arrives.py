# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What arrives is what was, but for what the user changes; and the way back says what is in it."""

from __future__ import annotations

import pytest

NICS = ("nic.macs", "nic.ips", "nic.modes", "nic.links", "nic.vlans")


@pytest.fixture
def odd(lab, name):
    """An instance on alpha with all that a move had lost: a VLAN, an inherited link, OS parameters; it does not run."""
    lab.master(
        "alpha", "gnt-instance", "add", "-H", "fake", "-t", "file", "--disk=0:size=16M,name=root", "-o", "noop", "--no-install", "-n", "a2.lab.example",
        "-B", "maxmem=64,minmem=64", "-O", "flavour=vanilla", "--no-ip-check", "--no-name-check", "--no-start",
        "--net=0:mode=openvswitch,link=br0,vlan=604", "--net=1:ip=10.99.0.1", name,
    )  # fmt: skip
    return name


@pytest.fixture
def there(lab, move):
    """Moves the test's instance from alpha to beta; the result."""

    def run(**arguments):
        return move(source=lab.side("alpha"), destination=lab.side("beta"), primary_node="b2.lab.example", **arguments).result()

    return run


def nics(lab, cluster, name):
    """The interfaces of an instance: hardware addresses, addresses, modes, links, VLANs."""
    return [field.split(",") for field in lab.fields(cluster, name, *NICS)]


def test_an_override_changes_what_it_names(lab, odd, there):
    before = nics(lab, "alpha", odd)
    moved = there(nics=[{"index": 0, "link": "br7"}], source_after="removed")
    assert moved["changed"] and not moved["failed"], moved
    macs, ips, modes, links, vlans = nics(lab, "beta", odd)
    assert (macs, ips, modes, vlans) == (before[0], before[1], before[2], before[4])
    assert links == ["br7", before[3][1]]


def test_a_map_fits_a_kind_of_interfaces_and_a_short_name_is_completed(lab, odd, there):
    rules = [{"match": {"vlan": "604"}, "set": {"vlan": "1604"}}, {"match": {"link": "none-has-it"}, "set": {"link": "x"}}]
    moved = there(name=odd.split(".")[0], nic_map=rules)
    assert moved["changed"] and not moved["failed"], moved
    assert nics(lab, "beta", odd)[4][0] == ".1604"
    again = there(name=odd.split(".")[0])
    assert not again["changed"] and again["node"] == "b2.lab.example"


def test_the_way_back_says_that_the_name_is_taken_by_this_very_instance(lab, odd, there, move):
    moved = there()
    assert moved["changed"] and not moved["failed"], moved
    back = move(source=lab.side("beta"), destination=lab.side("alpha"), primary_node="a2.lab.example").result()
    assert back["failed"] and f"by the copy that move {moved['move_id']} of this very instance has left there, fenced" in back["msg"], back
    elsewhere = move(source=lab.side("alpha"), destination=lab.side("beta"), primary_node="b1.lab.example").result()
    assert not elsewhere["changed"] and "is on b2.lab.example, not on b1.lab.example" in elsewhere["shown"], elsewhere


def test_a_short_secret_masks_nothing_else(lab, odd, there):
    moved = there(osparams_private={"region": "1"}, compress="no-such-tool-1")
    assert moved["failed"] and "no-such-tool-1 is not allowed on the source cluster alpha.lab.example" in moved["msg"], moved
    assert '"region": "1"' not in moved["shown"]


def test_files_become_volumes_with_the_providers_parameters(lab, odd, there):
    moved = there(disk_template="ext", ext_params={"provider": "loopdev", "allocation": "full"})
    assert moved["changed"] and not moved["failed"], moved
    configuration = lab.ganeti("beta").configuration()
    (made,) = [each for each in configuration["instances"].values() if each["name"] == odd]
    assert configuration["disks"][made["disks"][0]]["params"] == {"provider": "loopdev", "allocation": "full"}
    assert lab.fields("beta", odd, "custom_osparams") == ["{'flavour': 'vanilla'}"]
