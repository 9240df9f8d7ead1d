# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two masters have written, and who was replaced."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage import claims, conflicts
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.base import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.client import Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.couchdb import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.documents import DATABASES

from .conftest import everything
from .samples import INSTANCE, configuration, job


@pytest.fixture
def clients(servers):
    """Clients of the master's server and the standby's."""
    made = [Client(server) for server in servers]
    yield made
    for each in made:
        each.close()


def elsewhere(client, database, name, info):
    """Write a revision as a replication does that comes from another master."""
    client.post(path(database, "_bulk_docs"), {"docs": [{"_id": name, "_rev": f"1-{'f' * 32}", "serial": 20, "info": info}], "new_edits": False})


def test_in_the_masters_own_database_the_files_win(clients, couch, master):
    """Whichever revision of two CouchDB lets win, afterwards there is one, with what the files say."""
    convert(master, couch)
    database = couch.database("instances")
    assert conflicts.find(clients[0], database) == {}
    elsewhere(clients[0], database, INSTANCE, {"name": "theirs"})
    assert len(conflicts.find(clients[0], database)[INSTANCE]) == 1
    couch.resolve()
    convert(master, couch)
    assert conflicts.find(clients[0], database) == {} and everything(couch) == everything(master)
    assert conflicts.resolve(clients[0], database) == []


def test_a_standby_loses_what_its_master_never_had(clients, couch, master, prefix):
    standby = CouchStorage(clients[1], prefix)
    standby.prepare()
    convert(master, couch)
    for name in DATABASES:
        replicate(clients, couch.database(name))
    elsewhere(clients[1], couch.database("instances"), INSTANCE, {"name": "theirs"})
    elsewhere(clients[1], couch.database("instances"), "never-seen", {"name": "lost"})
    standby.write_jobs({20099: job(20099)})
    couch.write_jobs({20098: job(20098)})
    assert conflicts.settle(clients[0], clients[1], couch.database("instances")) == sorted([INSTANCE, "never-seen"])
    assert conflicts.settle(clients[0], clients[1], couch.database("queue")) == ["20099"]
    replicate(clients, couch.database("queue"))
    standby.forget()
    assert everything(standby) == everything(couch)
    for name in DATABASES:
        assert conflicts.settle(*clients, couch.database(name)) == [], "once is enough"


def replicate(clients, database):
    """Copy the newest revisions of all documents, as CouchDB's replication does."""
    rows = clients[0].get(path(database, "_all_docs"))["rows"]
    documents = [clients[0].get(path(database, row["id"], revs=True)) for row in rows]
    clients[1].post(path(database, "_bulk_docs"), {"docs": documents, "new_edits": False})


NODES = {"u1": {"name": "a1"}, "u2": {"name": "a2"}}


@pytest.mark.parametrize(
    "found, replaced",
    [
        ([], False),
        ([(20, "u1"), (19, "u1")], False),
        ([(25, "u1")], False),  # our own, of before a restore
        ([(20, "u2"), (12, "u2")], False),  # what the master before us wrote
        ([(1020, "u2"), (20, "u1")], True),
    ],
)
def test_a_newer_configuration_of_another_master_replaces_this_one(found, replaced):
    here = {**configuration(20), "cluster": {"master_node": "u1"}, "nodes": NODES}
    words = claims.usurped(here, [claims.Claim(*each) for each in found])
    assert (words is not None) == replaced
    assert not replaced or "serial number 1020 of the master a2, the configuration here has 20" in words


def test_servers_that_are_away_claim_nothing(servers, couch, prefix):
    couch.write_configuration({**configuration(20), "cluster": {"master_node": "u1"}})
    away = Server("http://127.0.0.1:9", "ganeti", "secret")
    assert claims.claims([away, servers[0]], prefix) == [claims.Claim(20, "u1")]
    with Client(servers[0]) as client:
        assert claims.read(client, "never_made_") is None
