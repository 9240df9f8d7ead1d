# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who of several begins an epoch, by the numbers of ballot.py; and what nodes write for each other. Of three servers the master's is away."""

from __future__ import annotations

import concurrent.futures

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, StorageFailed, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import ballot
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage

from ...servers import options

AWAY = Server("http://127.0.0.1:9", "ganeti", "secret")


@pytest.fixture
def three(servers, prefix):
    """The servers of a1, which is dead, of a2 and of a3, all claimed by a1."""
    for server in servers:
        with CouchStorage(Client(server), prefix) as storage:
            storage.prepare()
            storage.claim(Claim(20, "u1"))
    return {"a1": AWAY, "a2": servers[0], "a3": servers[1]}


def named(three, prefix, name):
    """Whom a server has named."""
    with Client(three[name]) as client:
        return ballot.elected(client, prefix)


def test_one_is_elected_for_an_epoch_and_for_good(three, prefix):
    """1 and 2."""
    assert named(three, prefix, "a2") is None
    ballot.elect(three, prefix, Claim(EPOCH, "u3"), ["a1"])
    assert named(three, prefix, "a2") == named(three, prefix, "a3") == Claim(EPOCH, "u3")
    ballot.elect(three, prefix, Claim(EPOCH, "u3"), ["a1"])
    with pytest.raises(StorageFenced, match="has named u3 for epoch 1: another promotion was quicker"):
        ballot.elect(three, prefix, Claim(EPOCH, "u2"), ["a1"])
    ballot.elect(three, prefix, Claim(2 * EPOCH, "u2"), ["a1"])
    with pytest.raises(StorageFenced, match="has named u2 for epoch 2"):
        ballot.elect(three, prefix, Claim(EPOCH, "u3"), ["a1"])
    with pytest.raises(StorageFenced, match="has named u2 for epoch 2"):
        ballot.elect(three, prefix, Claim(EPOCH, "u2"), ["a1"])


def test_whoever_begins_an_epoch_by_hand_begins_a_later_one(three, prefix):
    """4: the election is spent, whatever became of who was elected."""
    ballot.elect(three, prefix, Claim(EPOCH, "u3"), ["a1"])
    with open_storage("couchdb", name="a2", **options(prefix, **three)) as storage:
        assert max(storage.claims()) == Claim(20, "u1") and max(storage.begun()) == Claim(EPOCH, "u3")


def test_the_smaller_part_elects_nobody(three, prefix):
    """2: servers that do not answer count."""
    with pytest.raises(StorageFailed, match=r"Only 1 of 3 servers answer \(a1: its node is dead; a3: .*does not answer.*more than half"):
        ballot.elect({**three, "a3": AWAY}, prefix, Claim(EPOCH, "u2"), ["a1"])
    ballot.elect(three, prefix, Claim(EPOCH, "u2"), ["a1"])


def test_an_epoch_that_was_claimed_is_not_elected_for(three, prefix):
    """3."""
    with CouchStorage(Client(three["a3"]), prefix) as storage:
        storage.claim(Claim(EPOCH, "u3"))
    with pytest.raises(StorageFenced, match="is claimed by u3 for epoch 1"):
        ballot.elect(three, prefix, Claim(EPOCH, "u2"), ["a1"])


def test_of_many_at_once_one_at_most_is_elected(three, prefix):
    """4."""

    def try_it(name):
        try:
            ballot.elect(three, prefix, Claim(EPOCH, name), ["a1"])
        except GanetiError:
            return None
        return name

    with concurrent.futures.ThreadPoolExecutor(6) as executor:
        elected = [name for name in executor.map(try_it, [f"u{number}" for number in range(2, 8)]) if name]
    assert len(elected) == 1
    assert named(three, prefix, "a2") == named(three, prefix, "a3") == Claim(EPOCH, elected[0])


def test_nodes_read_what_others_have_written(three, prefix):
    described = options(prefix, **three)
    with open_storage("couchdb", name="a2", **described) as second, open_storage("couchdb", name="a3", **described) as third:
        mine, others = second.notes(list(three), 5), third.notes(list(three), 5)
        mine.put("watcher", {"sees": "alive"})
        mine.put("watcher", {"sees": "gone"})
        mine.put("takeover", {"asks": "x"})
        found = others.read()
        assert found["a2"] == ({"watcher": {"sees": "gone"}, "takeover": {"asks": "x"}}, None, True) and found["a3"] == ({}, None, True)
        assert not found["a1"].answers and "does not answer" in found["a1"].problem
        assert mine.own_servers and second.elected() is None
        mine.close()
        others.close()


def test_a_server_that_lets_nobody_in_answers_all_the_same(three, prefix):
    wrong = Server(three["a3"].url, "ganeti", "wrong")
    with open_storage("couchdb", name="a2", **options(prefix, a2=three["a2"], a3=wrong)) as storage:
        notes = storage.notes(["a2", "a3"], 5)
        found = notes.read()["a3"]
        assert found.answers and "does not let" in found.problem
        notes.close()


def test_files_alone_elect_nobody(master):
    with pytest.raises(StorageFailed, match="cannot decide who of several"):
        master.elect(Claim(EPOCH, "u2"), ["a1"])
    with pytest.raises(StorageFailed, match="no place for what nodes tell"):
        master.notes(["a1"], 5)
    assert master.elected() is None
