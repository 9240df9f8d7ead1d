# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces: what a user changes changes field by field, and what is in effect arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.move import interfaces, within
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import Nic

from .samples import MOVE, NIC, info, instance, options, override, rule

MAC = NIC.mac
VLAN = Nic(MAC, None, None, "bridged", "br0", ".604", None, {"mode": "bridged", "link": "br0", "vlan": ".604"})
NETWORKED = Nic(MAC, "192.0.2.1", None, "bridged", "br0", ".7", "dmz", {"mode": "bridged", "link": "br0", "vlan": ".7"})
PLAIN = Nic(MAC, None, None, "bridged", "br0", "", None, {})

BR0_TO_LAN = rule({"link": "br0"}, network="lan")


def made(nic, there=None, **changes):
    """The interface as the destination's opcode has it."""
    (result,) = interfaces.all_stated([nic], options(**changes), there or info())
    return result


@pytest.mark.parametrize(
    ("nic", "changes", "wanted"),
    [
        # A link alone: mode and VLAN stay. The interface had arrived routed without a VLAN.
        (VLAN, {"nics": [override(link="br7")]}, {"mac": MAC, "mode": "bridged", "link": "br7", "vlan": ".604"}),
        (VLAN, {"nics": [override(vlan="12")]}, {"mac": MAC, "mode": "bridged", "link": "br0", "vlan": ".12"}),
        (VLAN, {"nics": [override(vlan="none")]}, {"mac": MAC, "mode": "bridged", "link": "br0"}),
        (VLAN, {"nics": [override(network="lan")]}, {"mac": MAC, "network": "lan"}),
        (VLAN, {"nics": [override(mac="generate")]}, {"mac": "generate", "mode": "bridged", "link": "br0", "vlan": ".604"}),
        (NETWORKED, {}, {"mac": MAC, "ip": "192.0.2.1", "network": "dmz"}),
        (NETWORKED, {"nics": [override(link="br7")]}, {"mac": MAC, "ip": "192.0.2.1", "mode": "bridged", "link": "br7", "vlan": ".7"}),
        (NETWORKED, {"nics": [override(network="none", ip="none")]}, {"mac": MAC, "mode": "bridged", "link": "br0", "vlan": ".7"}),
        (NETWORKED, {"nics": [override(network="lan", ip="pool")]}, {"mac": MAC, "ip": "pool", "network": "lan"}),
        # What is inherited is stated where the destination would inherit something else.
        (PLAIN, {}, {"mac": MAC, "link": "br0"}),
        (PLAIN._replace(link="xen-br0"), {}, {"mac": MAC}),
        (PLAIN._replace(mode="openvswitch", vlan=".5"), {}, {"mac": MAC, "mode": "openvswitch", "link": "br0", "vlan": ".5"}),
        # Maps.
        (PLAIN, {"nic_map": [rule({"link": "br0"}, link="br9")]}, {"mac": MAC, "link": "br9"}),
        (PLAIN, {"nic_map": [rule({"link": "br1"}, link="br9")]}, {"mac": MAC, "link": "br0"}),
        (VLAN, {"nic_map": [rule({"vlan": "604"}, vlan="60")]}, {"mac": MAC, "mode": "bridged", "link": "br0", "vlan": ".60"}),
        (VLAN, {"nic_map": [rule({"link": "br0", "vlan": "7"}, vlan="60"), rule({"link": "br0"}, network="lan")]}, {"mac": MAC, "network": "lan"}),
        (NETWORKED, {"nic_map": [rule({"network": "dmz"}, network="dmz2")]}, {"mac": MAC, "ip": "192.0.2.1", "network": "dmz2"}),
        (VLAN, {"nic_map": [rule({"link": "br0"}, link="br9")], "nics": [override(vlan="8")]}, {"mac": MAC, "mode": "bridged", "link": "br9", "vlan": ".8"}),
        (VLAN, {"nic_map": [BR0_TO_LAN], "nics": [override(link="br8")]}, {"mac": MAC, "mode": "bridged", "link": "br8", "vlan": ".604"}),
        (PLAIN, {"nic_map": [rule({"link": "br0"}, mac="generate")], "nics": [override(1, link="x")]}, {"mac": "generate", "link": "br0"}),
    ],
)
def test_what_the_destination_gets(nic, changes, wanted):
    assert made(nic, **changes) == wanted


VALUES = {"mode": ["bridged", "routed", "openvswitch"], "link": ["br0", "br1"], "vlan": ["", ".4", ":4:5"]}
FIELDS = {field: st.sampled_from(values) for field, values in VALUES.items()}
ALL = st.fixed_dictionaries(FIELDS)


@given(ALL, ALL, st.sets(st.sampled_from(list(FIELDS))), st.fixed_dictionaries({}, optional=FIELDS))
def test_values_in_effect_arrive_whatever_is_inherited(effective, defaults, custom, changes):
    nic = Nic(MAC, None, None, effective["mode"], effective["link"], effective["vlan"], None, {field: effective[field] for field in custom})
    changes = {field: value for field, value in changes.items() if value}
    there = info(nicparams={"default": defaults})
    arrived = {**defaults, **made(nic, there, nics=[override(**changes)])}
    wanted = {**effective, **changes}
    told = interfaces.notes(interfaces.planned([nic], options(nics=[override(**changes)])), there)
    assert (arrived["mode"], arrived["link"]) == (wanted["mode"], wanted["link"])
    assert arrived["vlan"] == wanted["vlan"] or (told and not wanted["vlan"])


def test_a_default_vlan_that_cannot_be_taken_off_is_told():
    there = info(nicparams={"default": {"mode": "bridged", "link": "br0", "vlan": ".9"}})
    assert interfaces.notes(interfaces.planned([PLAIN], options()), there) == [
        "Interface 0 has no VLAN, but gets .9, the default of beta.example.com: set its vlan, network or mode."
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nics": [override(network="lan", link="br0")]}, "nics, interface 0: a network brings mode, link and VLAN along, so link cannot"),
        ({"nic_map": [rule({"link": "br0"}, network="lan", vlan="4")]}, "nic_map, entry 0: a network brings mode, link and VLAN along, so vlan cannot"),
        ({"nic_map": [rule({}, network="lan")]}, "nic_map, entry 0: match is empty"),
        ({"primary_node": None, "secondary_node": "b2"}, "secondary_node needs primary_node"),
        ({"primary_node": "b2", "secondary_node": "b2"}, "secondary_node is the primary node"),
    ],
)
def test_refusals(changes, words):
    with pytest.raises(InvalidInput, match=words):
        options(**changes)


def test_within_a_cluster_a_map_decides_about_the_hardware_address_too():
    noted = (f"ganeti-move:{MOVE}:source:up", f"ganeti-move:{MOVE}:nic:0:{MAC}/192.0.2.1")
    names = within.names(options(), True, MOVE)
    source, twin = instance(tags=noted), instance(name=names.made, nics=(NIC._replace(mac="aa:00:00:00:00:99"),))
    kept = within.exchange(source, twin, names, options(), MOVE)
    assert kept[-1]["nics"] == [["modify", 0, {"mac": MAC}]]
    generated = within.exchange(source, twin, names, options(nic_map=[rule({"link": "br0"}, mac="generate")]), MOVE)
    assert [op["OP_ID"] for op in generated] == ["OP_INSTANCE_RENAME", "OP_INSTANCE_RENAME"]
