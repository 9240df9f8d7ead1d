# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a service that has no server of its own, as with etcd: they name the nodes that have them."""

from __future__ import annotations

import json
import socket

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import settings

ETCD = {"storage": "etcd", "endpoints": ["http://127.0.0.1:2379"], "cluster": "c0ffee", "username": "ganeti", "password": "secret"}


@pytest.fixture
def read(tmp_path):
    """Reads settings as they are given."""

    def written(**values):
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(values))
        file.chmod(0o600)
        return settings.read(str(file))

    return written


def test_a_node_is_found_among_those_that_have_them(read):
    chosen = read(**ETCD, nodes=["a2", socket.gethostname()])
    assert chosen.name == socket.gethostname() and chosen.options == {key: value for key, value in ETCD.items() if key != "storage"}
    with chosen.open() as storage:
        assert storage.where == "ganeti/c0ffee/ in etcd at http://127.0.0.1:2379"
    assert read(**ETCD, name="a1").name == "a1" == read(**ETCD, name="a1", nodes=["a2"]).name


def test_which_nodes_have_the_service(read):
    """Servers that are of no node are not among them."""
    assert read(**ETCD, name="a1", nodes=["a2", "a1"]).nodes == ("a1", "a2")
    server = {"url": "http://127.0.0.1:5984", "username": "ganeti", "password": "secret"}
    three = {name: server for name in ("a2", "a1", "pool")}
    assert read(name="a1", servers=three).nodes == ("a1", "a2", "pool")
    found = read(name="a1", servers=three, nodes=["a1", "a2"])
    assert found.nodes == ("a1", "a2") and list(found.options["servers"]) == ["a2", "a1", "pool"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": ["a1", "a2"]}, "does not name this node, which calls itself .*: it names a1, a2"),
        ({}, "is no configuration of this service: it lacks 'servers'"),
        ({"name": "a1", "colour": "red"}, "These are no options of the storage etcd"),
        ({"name": "a1", "key_path": "/key.pem"}, "name the certificate in cert_path"),
    ],
)
def test_what_cannot_be_used_is_refused_without_the_password(read, changes, words):
    with pytest.raises(InvalidInput, match=words) as caught:
        read(**ETCD, **changes)
    assert "secret" not in caught.value.message


def test_what_the_service_had_is_known_though_its_certificates_are_gone(tmp_path, read):
    read(**ETCD, name="a1", pool_size=7)
    file = tmp_path / "settings.json"
    values = {**json.loads(file.read_text()), "endpoints": ["https://127.0.0.1:2379"], "ca_path": "/nowhere/ca.pem"}
    file.write_text(json.dumps(values))
    with pytest.raises(InvalidInput, match="ca_path: /nowhere/ca.pem cannot be read"):
        settings.read(str(file))
    assert settings.read(str(file), usable=False).pool_size == 7
