# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of another cluster that was named by mistake, with the same password: nothing is changed there, and it decides nothing here."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import candidate_pool, placement, places, switch
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import fence, replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import DATABASES
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import commands, mastership
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings

from ...samples import configuration, job
from ...servers import options

MINE, THEIRS = Claim(20, "u1"), Claim(EPOCH, "u9")


def of(uuid, serial=20, name="alpha.lab.example"):
    """The configuration of the cluster with this UUID."""
    found = configuration(serial)
    found["cluster"].update(uuid=uuid, cluster_name=name, master_node="u1")
    return found


def contents(server, prefix):
    """All that is on a server in these databases, their rights, the users of claims, and the replications."""
    with Client(server) as client:
        names = [*(prefix + each for each in (*DATABASES, fence.DATABASE)), "_users", "_replicator"]
        rows = {name: (client.get(path(name, "_all_docs"), missing=True) or {}).get("rows") for name in names}
        return rows, [client.get(f"{path(name)}/_security") for name in names[: len(DATABASES)]]


def message(name, server, uuid):
    """What is said of it."""
    what = f"The CouchDB of {name} ({server.url}) holds the configuration of another cluster, {uuid}"
    return f"{what}: give this cluster a server or a prefix of its own."


@pytest.fixture
def both(node, servers, prefix):
    """The own master's storage, and what is on the other cluster's server, whose claim is an older one, so that nothing else keeps ours out."""
    other = node("a2", Claim(5, "u9"), of("theirs"))
    other.write_jobs({8: job(8)}, archived=True)
    mine = node("a1", MINE, of("mine"))
    with Client(servers[1]) as client:
        client.put(path("_replicator", f"from_a2_a9_{prefix}x"), {"source": f"{servers[1].url}/{prefix}nowhere", "target": f"{servers[1].url}/{prefix}nothing"})
    return mine, contents(servers[1], prefix)


def test_a_standby_of_another_cluster_is_named_and_let_be(both, servers, prefix):
    mine, before = both
    kept = []

    def keep(jobs):
        kept.append(jobs)
        return frozenset(jobs)

    assert mine.copies.tend(keep) == message("a2", servers[1], "theirs")
    assert (kept, contents(servers[1], prefix)[1]) == ([], before[1])
    assert _settled(contents(servers[1], prefix)) == _settled(before)
    assert mine.copies.strays(remove=True).away == {"a2": message("a2", servers[1], "theirs")}
    with Client(servers[1]) as client:
        assert fence.held(client, prefix).claim == Claim(5, "u9")
        assert replication.arrange(client, {}, change=False).removed == [f"from_a2_a9_{prefix}x"]


def _settled(found):
    """But for the state that CouchDB itself writes into a replication's document."""
    return {name: [row["id"] if name == "_replicator" else row for row in rows or []] for name, rows in found[0].items()}


@pytest.mark.parametrize("stored", [of("mine", 19, "renamed.lab.example"), configuration(19), None])
def test_a_renamed_one_an_unknown_one_and_an_empty_one_are_no_others(node, stored):
    node("a2", Claim(5, "u9"), stored)
    mine = node("a1", MINE, of("mine"))
    assert mine.copies.tend(frozenset) is None
    assert mine.claims() == [MINE, MINE]


def files(directory, found):
    """The files of the master a1."""
    storage = DiskStorage(str(directory))
    storage.write_configuration(found)
    storage.write_ssconf({"master_node": "a1\n"})


def test_what_claimed_the_other_cluster_does_not_replace_this_one_s_master(node, tmp_path, servers, prefix):
    node("a2", THEIRS, of("theirs", EPOCH))
    files(tmp_path, of("mine"))
    chosen = Settings("a1", options(prefix, a1=servers[0], a2=servers[1]), str(tmp_path), str(tmp_path / "status.json"), 3)
    mine = node("a1")
    assert mastership.begin(chosen, mine) == MINE, "its own server is empty still"
    mine.write_configuration(of("mine"))
    with chosen.open() as another:
        assert another.claims() == [MINE] and mastership.replaced(chosen, another, MINE) is None
        assert fence.claims([servers[1]], prefix) == [THEIRS]


def test_the_own_server_is_not_claimed_where_another_cluster_is(node, tmp_path, servers, prefix):
    node("a1", Claim(5, "u9"), of("theirs"))
    before = contents(servers[0], prefix)
    files(tmp_path, of("mine"))
    chosen = Settings("a1", options(prefix, a1=servers[0]), str(tmp_path), str(tmp_path / "status.json"), 3)
    with chosen.open() as storage:
        assert mastership.begin(chosen, storage) == Status("waiting", problem=message("a1", servers[0], "theirs"))
    with pytest.raises(StorageFailed, match="holds the configuration of another cluster"):
        commands.reclaim(chosen)
    assert contents(servers[0], prefix) == before


def test_a_switch_refuses_it_before_anything_is_made(both, servers, prefix, monkeypatch):
    before = contents(servers[1], prefix)
    facts = places.Facts("mine", "a1", frozenset({"a1", "a2"}), frozenset({"a1", "a2"}), frozenset({"a1", "a2"}))
    place = places.Place(options(prefix, a1=servers[0], a2=servers[1]), ["a1", "a2"], [], {}, "another server")
    monkeypatch.setattr(switch, "_facts", lambda _cluster: facts)
    monkeypatch.setattr(places, "place", lambda _params, _facts: place)
    monkeypatch.setattr(candidate_pool, "read", lambda *_any: pytest.fail("nothing else is asked"))
    monkeypatch.setattr(placement, "states", lambda *_any: pytest.fail("nothing else is asked"))
    params = {"storage": "couchdb", "couchdb_mode": "mirror", "acknowledge": 0}
    for check_mode in (True, False):
        with pytest.raises(StorageFailed) as caught:
            switch._to_database(params, None, None, None, check_mode)
        assert caught.value.message == message("a2", servers[1], "theirs")
    assert contents(servers[1], prefix)[1] == before[1]
    assert _settled(contents(servers[1], prefix)) == _settled(before)
