# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A twin takes over name and addresses, whatever of it was done before, and the source gets them back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.move import tags, within
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import Nic

from .samples import MOVE, OTHER, instance, options, override

NAME = "web.example.com"
NAMES = within.names(options(primary_node="a3"), True, MOVE)
NIC = Nic("aa:00:00:00:00:01", "192.0.2.1", None, "bridged", "br0", "", None, {})
MANAGED = Nic("aa:00:00:00:00:02", "198.51.100.7", None, "bridged", "br0", "", "lan", {})
NOTED = (tags.source(MOVE, "up"), tags.nic(MOVE, 0, NIC.mac, NIC.ip), tags.nic(MOVE, 1, MANAGED.mac, MANAGED.ip))
TWIN_NICS = (NIC._replace(mac="aa:00:00:00:00:0a", ip=None), MANAGED._replace(mac="aa:00:00:00:00:0b", ip=None))


class Cluster:
    """Carries out what `within` says, as Ganeti does, and refuses what Ganeti refuses."""

    def __init__(self, source, twin):
        self.instances = [source, twin]
        self.generated = 0

    def run(self, opcodes, stop=None):
        """Carry out opcodes, or no more than *stop* of them."""
        for op in opcodes[:stop]:
            (index,) = [number for number, each in enumerate(self.instances) if each.name == op["instance_name"]]
            assert self.instances[index].uuid == op["instance_uuid"]
            if op["OP_ID"] == "OP_INSTANCE_RENAME":
                assert op["new_name"] not in [each.name for each in self.instances]
                self.instances[index] = self.instances[index]._replace(name=op["new_name"])
            else:
                for _verb, number, parameters in op["nics"]:
                    self._modify(index, number, parameters)

    def _modify(self, index, number, parameters):
        changes = dict(parameters)
        if changes.get("mac") == "generate":
            self.generated += 1
            changes["mac"] = f"aa:00:00:ff:00:{self.generated:02x}"
        if changes.get("ip") == "none":
            changes["ip"] = None
        nics = list(self.instances[index].nics)
        others = [nic for each in self.instances for nic in each.nics if nic is not nics[number]]
        assert changes.get("mac") not in [nic.mac for nic in others]
        if nics[number].network and changes.get("ip"):
            assert changes["ip"] not in [nic.ip for nic in others if nic.network]
        nics[number] = nics[number]._replace(**changes)
        self.instances[index] = self.instances[index]._replace(nics=tuple(nics))


def pair():
    """A source in the middle of a move, and its twin."""
    return Cluster(
        instance(name=NAME, nics=(NIC, MANAGED), tags=NOTED),
        instance(name=NAMES.made, uuid="22222222-3333", nics=TWIN_NICS, tags=(tags.destination(MOVE), tags.released(MOVE))),
    )


@given(st.integers(0, 5))
def test_the_twin_takes_over_wherever_an_earlier_run_ended(done):
    cluster, chosen = pair(), options(primary_node="a3")
    cluster.run(within.exchange(*cluster.instances, NAMES, chosen, MOVE), stop=done)
    cluster.run(within.exchange(*cluster.instances, NAMES, chosen, MOVE))
    source, twin = cluster.instances
    assert (source.name, twin.name) == (NAMES.retired, NAME)
    assert twin.nics == (NIC, MANAGED)
    assert source.nics[0].mac != NIC.mac and source.nics[1].mac != MANAGED.mac and source.nics[1].ip is None
    assert within.exchange(*cluster.instances, NAMES, chosen, MOVE) == []


@given(st.integers(0, 5))
def test_the_source_gets_everything_back_wherever_the_exchange_failed(done):
    cluster = pair()
    cluster.run(within.exchange(*cluster.instances, NAMES, options(primary_node="a3"), MOVE), stop=done)
    del cluster.instances[1]
    cluster.run(within.give_back(cluster.instances[0], NAMES, MOVE))
    (source,) = cluster.instances
    assert (source.name, source.nics) == (NAME, (NIC, MANAGED))
    assert within.give_back(source, NAMES, MOVE) == []


def test_what_the_user_overrides_is_not_taken_from_the_source():
    cluster, chosen = pair(), options(primary_node="a3", nics=[override(0, mac="generate", ip="192.0.2.50")])
    cluster.run(within.exchange(*cluster.instances, NAMES, chosen, MOVE))
    source, twin = cluster.instances
    assert twin.nics[0] == TWIN_NICS[0]._replace(ip="192.0.2.50") and twin.nics[1] == MANAGED
    assert source.nics[0] == NIC


def test_the_twin_is_made_with_addresses_of_its_own():
    assert within.of_twin({"mac": NIC.mac, "ip": "192.0.2.1", "network": "lan"}) == {"mac": "generate", "network": "lan"}
    assert within.of_twin({"mac": NIC.mac, "ip": "192.0.2.1", "mode": "routed"}) == {"mac": "generate", "ip": "192.0.2.1", "mode": "routed"}


@given(st.integers(0, 63), st.sampled_from(["aa:00:00:11:22:33"]), st.sampled_from([None, "192.0.2.1", "2001:db8::1"]))
def test_tags_remember_addresses(index, mac, ip):
    tag = tags.nic(MOVE, index, mac, ip)
    assert tags.addresses(["prod", tag, tags.nic(OTHER, index, mac, None)], MOVE) == {index: (mac, ip)}
    assert len(tag) <= 128 and set(tag) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.:/")  # what Ganeti takes as a tag


UP, RETIRED = tags.source(MOVE, "up"), NAMES.retired
COPY = tags.destination(MOVE, f"u-{NAME}")
COPY_OF_RETIRED = tags.destination(MOVE, f"u-{RETIRED}")


@pytest.mark.parametrize(
    ("tagged", "found"),
    [
        ({}, None),
        ({NAME: ["prod"]}, NAME),
        ({NAME: ["prod"], RETIRED: [tags.moved_to(MOVE, f"u-{NAME}")]}, NAME),  # an earlier move, done
        ({NAME: [UP], NAMES.made: [COPY]}, NAME),
        ({NAME: [], NAMES.made: [COPY]}, NAME),
        ({RETIRED: [UP], NAMES.made: [COPY_OF_RETIRED]}, RETIRED),  # amid the exchange of the names
        ({RETIRED: [UP], NAME: [COPY_OF_RETIRED]}, RETIRED),
        ({RETIRED: [UP, tags.moved_to(MOVE, f"u-{NAME}")], NAME: []}, RETIRED),
        ({NAME: [COPY_OF_RETIRED]}, None),  # its source was removed by hand
        ({RETIRED: [UP], NAME: []}, NAME),  # the name belongs to one that knows nothing of the move
        ({NAME: [], "other." + NAME: [COPY], f"{NAME}.{OTHER}.new": [UP]}, NAME),  # others' instances
    ],
)
def test_the_source_of_an_unfinished_move_is_found_by_tags(tagged, found):
    assert within.source_of(NAME, tagged, {name: f"u-{name}" for name in tagged}) == found


def test_in_place_means_the_node_and_the_template():
    there = instance(node="a3")
    assert within.is_in_place(there, "a3", None)
    assert not within.is_in_place(there, "a2", None)
    assert not within.is_in_place(there, "a3", "plain")
    assert not within.is_in_place(there, None, None)
