# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a database is and which nodes have the service, by a module's options."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import places, switch
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import factory

NODES = frozenset({"a1", "a2", "a3", "a4", "a5"})
FACTS = places.Facts("c0ffee", "a1", NODES, online=NODES - {"a3", "a5"}, capable=NODES - {"a4", "a5"})
SERVER = {"url": "https://a:6984", "username": "ganeti", "password": "secret", "ca_path": None}
ETCD = {"endpoints": ["https://e1:2379"], "username": None, "password": None, "ca_path": "/ca.pem", "cert_path": "/c.pem", "key_path": None}


def params(storage, servers=(), etcd=None):
    """The module's parameters; servers by their nodes."""
    return {"storage": storage, "servers": [{"node": name, **SERVER} for name in servers], "etcd": etcd}


def test_servers_of_couchdb_are_nodes_own():
    found = places.place(params("couchdb", ["a1", "a3", "a4"]), FACTS)
    assert found.options == found.settings == {"servers": {"a1": SERVER, "a4": SERVER}} and found.nodes == ["a1", "a4"]
    assert found.warnings == ["a3 is offline, so nothing was done there: run this again when it is back."]


def outside(name, nodes=("a1", "a2")):
    """The parameters with a server more, which is said to be of no node."""
    given = params("couchdb", nodes)
    return {**given, "servers": [*given["servers"], {"node": name, **SERVER, "outside": True}]}


def test_a_server_may_be_of_no_node_and_holds_a_copy_all_the_same():
    found = places.place(outside("pool.example.com"), FACTS)
    assert list(found.options["servers"]) == ["a1", "a2", "pool.example.com"] and found.options["servers"]["pool.example.com"] == SERVER
    assert found.nodes == found.settings["nodes"] == ["a1", "a2"] and found.outside == {"pool.example.com"} and not found.warnings
    assert places.place(outside("pool", ["a1"]), FACTS).nodes == ["a1"]


def test_members_of_etcd_are_the_same_for_every_node_that_may_become_the_master():
    found = places.place(params("etcd", etcd=ETCD), FACTS)
    assert found.options == {"endpoints": ["https://e1:2379"], "ca_path": "/ca.pem", "cert_path": "/c.pem", "cluster": "c0ffee"}
    assert found.settings == {**found.options, "nodes": ["a1", "a2"]} and found.nodes == ["a1", "a2"]
    assert found.offline == ["a3"], "a5 is offline too, and has nothing to do with it"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (params("couchdb"), "servers does not name the one of the master, a1"),
        (params("couchdb", ["a2"]), "servers does not name the one of the master, a1"),
        (params("couchdb", ["a1", "a1"]), "servers names the same node twice"),
        (params("couchdb", ["a1", "b1"]), "servers names b1, which is no node of this cluster: its nodes are a1, a2, a3, a4, a5"),
        (outside("a3"), "servers says that a3 is outside, and it is a node of this cluster"),
        (outside("a_3"), "servers names 'a_3', which is no name of a host"),
        (params("couchdb", ["a1"], ETCD), "etcd is no option of the storage couchdb, which takes servers: leave it out"),
        (params("etcd", ["a1"], ETCD), "servers is no option of the storage etcd, which takes etcd: leave it out"),
        (params("etcd", etcd={**ETCD, "cert_path": "c.pem", "key_path": "k.pem"}), "cert_path: c.pem, key_path: k.pem is relative to nothing"),
    ],
)
def test_what_is_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        places.place(given, FACTS)


def test_every_driver_has_its_options_and_is_a_value_of_the_parameter():
    assert {*places.OPTIONS, "disk"} == set(factory.DRIVERS) == set(extended.STORAGES) and places.OPTIONS.keys() == places._PLACES.keys()


@pytest.mark.parametrize(
    ("before", "wanted", "refused"),
    [
        ("disk", "etcd", False), ("disk", "disk", False), ("couchdb", "couchdb", False), ("etcd", "disk", False),
        ("couchdb", "etcd", True), ("etcd", "couchdb", True),
    ],
)  # fmt: skip
def test_the_way_from_one_database_to_another_leads_through_files(before, wanted, refused, monkeypatch):
    monkeypatch.setattr(switch, "_present", lambda: None)
    if not refused:
        switch._refuse_second(before, wanted)
        return
    with pytest.raises(InvalidInput, match=f"stores in {before}, .* go back to files first, with storage disk, and switch to {wanted} then"):
        switch._refuse_second(before, wanted)
