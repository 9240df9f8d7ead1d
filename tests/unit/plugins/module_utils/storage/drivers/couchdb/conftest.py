# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests about several nodes with a CouchDB each."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage

from ...servers import options


@pytest.fixture
def node(servers, prefix, couch):
    """Makes storages as a node has them, its own server's and its standbys': made ready, with the own server claimed and written to where that is wanted."""
    made = []

    def make(name, claim=None, stored=None):
        storage = open_storage("couchdb", name=name, **options(prefix, a1=servers[0], a2=servers[1]))
        storage.prepare()
        made.append(storage)
        if claim:
            storage.claim(claim)
        if stored:
            storage.write_configuration(stored)
        return storage

    yield make
    for storage in made:
        storage.close()
    for server in servers:
        with Client(server) as client:
            replication.arrange(client, {})
