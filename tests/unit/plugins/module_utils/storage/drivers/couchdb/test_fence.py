# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer at a time: each invariant of fence.py by its number."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import tempfile
import threading
import time

import pytest
from couchdb.inside import Inside
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import AuthenticationFailed, ConnectionFailed, StorageFailed, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import conflicts, fence, push, replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import DATABASES
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import promote

from ...called import Called, Failing, Interrupted
from ...conftest import everything
from ...samples import cluster, configuration, job

OLD, NEW = Claim(20, "u1"), Claim(EPOCH, "u2")


def test_1_claims_only_grow(node):
    old, new = node("a1"), node("a1")
    assert old.claim(OLD) == OLD == old.claim(OLD) and old.claims() == [OLD]
    assert new.claim(NEW) == NEW
    for claim in (OLD, OLD._replace(serial=1570), NEW._replace(master="u0")):
        with pytest.raises(StorageFenced, match=f"is claimed by u2 since serial number {EPOCH}, which is newer"):
            old.claim(claim)
    assert new.claims() == [NEW]


def test_1_a_claim_is_not_raised_with_each_start(node):
    assert node("a1").claim(OLD) == OLD == node("a1").claim(OLD._replace(serial=500))
    assert node("a1").claim(Claim(EPOCH + 7, "u1")) == Claim(EPOCH + 7, "u1")
    assert node("a1").claim(Claim(25, "u1")) == Claim(EPOCH + 7, "u1"), "who has claimed by name has a greater one than its files say"


def test_2_no_request_that_begins_then_is_carried_out_for_an_older_claim(node, master):
    old = node("a1", OLD)
    convert(master, old)
    new = node("a1", NEW)
    for act in (lambda: old.write_jobs({8: job(8)}), lambda: old.write_configuration(configuration(21)), lambda: old.remove_jobs([7]), old.resolve, old.queue):
        with pytest.raises(AuthenticationFailed):
            act()
    new.write_jobs({9: job(9)})
    assert new.queue().jobs == {7, 9, 20005} and new.configuration() == configuration()


def users(inside):
    """The users who exist."""
    return [row["id"].partition(":")[2] for row in Called(inside).get("/_users/_all_docs")["rows"]]


def authorised(inside):
    """The users who exist and are named in the rights of any database."""
    named = {name for database in DATABASES for name in Called(inside).get(f"/{database}/_security")["members"].get("names", [])}
    return named.intersection(users(inside))


def prepared(directory):
    """A server with the databases, and a claim of the old master."""
    inside = Inside(pathlib.Path(directory, "server"))
    for name in DATABASES:
        Called(inside).put(f"/{name}", None)
    return inside, fence.claim(Called(inside), "", OLD)


def attempt(client, claim):
    """Claim, or be refused."""
    try:
        fence.claim(client, "", claim)
    except StorageFenced:
        pass


@given(st.integers(1, 45), st.integers(1, 45), st.booleans(), st.sampled_from([NEW, Claim(30, "u2")]))
@settings(max_examples=30, deadline=None)
def test_2_whenever_the_newer_claim_comes_the_older_user_is_out(first, second, fresh, newer):
    """In between any two requests of one that claims for the old master, and of another one that interrupts it; one of them may have lost its user."""
    with tempfile.TemporaryDirectory() as directory:
        inside, before = prepared(directory)
        if fresh:
            admin = Called(inside)
            admin.delete(path("_users", f"org.couchdb.user:{before.user}", rev=admin.get(f"/_users/org.couchdb.user:{before.user}")["_rev"]))
        made = []

        def come():
            made.append(fence.claim(Called(inside), "", newer))

        another = Interrupted(inside, second, come)
        attempt(Interrupted(inside, first, lambda: attempt(another, OLD)), OLD)
        if not made:
            come()
        assert fence.held(Called(inside), "") == made[0] and made[0].claim == newer
        assert authorised(inside) == {made[0].user}, "where the old one put it out, the old one has it in again"
        fence.claim(Called(inside), "", newer)
        assert authorised(inside) == {made[0].user} == set(users(inside))


@pytest.mark.parametrize("lost", [True, False])
def test_2_who_dies_while_claiming_leaves_nobody_when_it_claims_again(lost, tmp_path):
    inside, _before = prepared(tmp_path)
    claims = (Claim(EPOCH * epoch, f"u{epoch % 2}") for epoch in itertools.count(1))
    for at in itertools.count(1):
        dying, wanted = Failing(inside, at, lost), next(claims)
        with contextlib.suppress(ConnectionFailed):
            fence.claim(dying, "", wanted)
        found = fence.claim(Called(inside), "", wanted)
        assert found.claim == wanted and authorised(inside) == {found.user} == set(users(inside)), at
        if dying.left > 0:
            break
    assert at > 25


class Repeating(Called):
    """A client that asks for each new user twice, as a first answer was lost."""

    def ask(self, method, where, body=None, seconds=None):
        if method == "PUT" and "org.couchdb.user" in where:
            super().ask(method, where, body, seconds)
        return super().ask(method, where, body, seconds)


def test_a_user_whose_making_took_too_long_to_be_answered_is_made_once(tmp_path):
    inside, _before = prepared(tmp_path)
    found = fence.claim(Repeating(inside), "", NEW)
    assert found.claim == NEW and authorised(inside) == {found.user} == set(users(inside))


def eventually(condition):
    """Wait until it holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_3_replications_of_an_older_master_end_there(node, servers, master):
    """It is cut off from the news, writes on to its own server, and its replications go on whenever they can."""
    old = node("a1", OLD)
    convert(master, old)
    assert old.copies.tend(frozenset) is None
    new = node("a2")
    eventually(lambda: 20005 in new.queue().jobs)
    new.claim(NEW)
    new.write_jobs({9: job(9)})
    old.write_jobs({8: job(8)})
    with Client(servers[0]) as client:
        eventually(lambda: {each.state for each in replication.states(client) if each.name.endswith("_queue")} & {"crashing", "failed"})
    assert new.queue().jobs == {7, 9, 20005}


def test_3_and_what_it_carries_on_is_taken_away_with_the_server(node, servers, master):
    """When the old master's server can be reached it is claimed, its replications go, and what it wrote since."""
    old = node("a1", OLD)
    convert(master, old)
    old.copies.tend(frozenset)
    new = node("a2", NEW)
    convert(master, new)
    old.write_jobs({8: job(8)})
    assert new.copies.tend(frozenset) is None
    with Client(servers[0]) as client:
        assert replication.arrange(client, {}, change=False).removed == []
    eventually(lambda: everything(node("a1")) == everything(new))
    assert new.claims() == [NEW, NEW] and new.copies.strays(remove=False) == ({}, [], {})


def test_3_what_it_archived_is_taken_over_but_for_what_the_new_master_has_in_its_queue(node, master):
    """It would be in both, and end another way than it does in the master's files."""
    old = node("a1", OLD)
    new = node("a2", NEW)
    convert(master, new)
    old.write_jobs({7: job(7, "error"), 8: job(8)}, archived=True)
    assert new.copies.tend(frozenset) is None
    assert (new.queue().jobs, new.queue().archived) == ({7, 20005}, {3, 8, 20001})
    eventually(lambda: everything(node("a1")) == everything(new))


def test_3_what_was_taken_from_a_standby_comes_back_when_the_new_master_writes_the_same(node, master):
    """The old one has archived a job, begun another and changed the simple configuration. That goes, and then the new master does just the same."""
    old, new = node("a1", OLD), node("a2", NEW)
    for storage in (old, new):
        convert(master, storage)
    old.write_jobs({7: job(7)}, archived=True)
    old.write_jobs({20006: job(20006)})
    old.write_ssconf({"node_list": "a1 a2"})
    assert new.copies.tend(frozenset) is None
    eventually(lambda: everything(node("a1")) == everything(new))
    new.write_jobs({7: job(7)}, archived=True)
    new.write_queue({20006: job(20006)}, 20006)
    new.write_ssconf({"node_list": "a1 a2"})
    eventually(lambda: everything(node("a1")) == everything(new))


def test_4_the_service_of_an_older_master_is_refused_by_its_own_server(node, master):
    old, new = node("a1", OLD), node("a2", NEW)
    convert(master, new)
    new.copies.tend(frozenset)
    with pytest.raises(AuthenticationFailed):
        convert(master, old)
    with pytest.raises(StorageFenced):
        old.claim(OLD)


@pytest.mark.parametrize("order", list(itertools.permutations(["a1", "a2"])))
def test_5_of_two_that_claim_at_once_one_is_left(node, order):
    claims = {"a1": Claim(EPOCH, "u1"), "a2": Claim(EPOCH, "u2")}
    made = {name: node(name, claims[name]) for name in order}
    problems = {name: made[name].copies.tend(frozenset) for name in order}
    assert "is claimed by u2" in problems["a1"] and problems["a2"] is None
    assert made["a1"].claims() == [claims["a2"]] * 2
    with pytest.raises(StorageFenced):
        made["a1"].claim(claims["a1"])
    assert made["a2"].claim(claims["a2"]) == claims["a2"]


def test_6_a_promotion_reads_what_it_has_claimed(node, certificate, master, tmp_path, monkeypatch):
    """What the old master writes just before the claim is in the files, and what it would write after it is nowhere."""
    old, new = node("a2", OLD), node("a2")
    convert(master, old)
    old.write_configuration(cluster(21))
    directory = tmp_path / "standby"
    (directory / "queue/archive").mkdir(parents=True)
    os.rename(certificate[0], directory / "client.pem")
    claim = new.claim

    def claimed(wanted):
        old.write_configuration({**cluster(22), "networks": {"n": {"uuid": "n", "name": "late"}}})
        found = claim(wanted)
        with pytest.raises(AuthenticationFailed):
            old.write_configuration(cluster(23))
        return found

    monkeypatch.setattr(new, "claim", claimed)
    promote.promote(new, str(directory), promote.Request("a2", ["a1"], 21))
    found = DiskStorage(str(directory)).configuration()
    assert found["networks"]["n"]["name"] == "late" and found["serial_no"] == EPOCH == new.claims()[-1].serial


def test_6_nothing_is_carried_to_a_standby_by_who_has_claimed_nothing(node):
    with pytest.raises(StorageFailed, match="a1 has not claimed its own server"):
        node("a1").copies.tend(frozenset)


def carrying(node, servers, prefix):
    """The storage of an old master that has claimed both servers, and brings to the other what it writes; and what brings it."""
    old = node("a1", OLD)
    with Client(servers[1]) as client:
        fence.claim(client, prefix, OLD)
    old.carry(True)
    pushing = old._pushes._pushes["a2"]
    assert pushing.in_step.wait(60)
    return old, pushing


def test_7_a_push_is_refused_when_a_newer_claim_stands(node, servers, prefix):
    """Also on top of what both have had: of what the new master has written nothing is a branch, and nothing is above it."""
    old, pushing = carrying(node, servers, prefix)
    old.write_jobs({7: job(7, "running")})
    new = node("a2")
    eventually(lambda: 7 in new.queue().jobs)
    new.claim(NEW)
    old.write_jobs({7: job(7, "error"), 8: job(8)})
    eventually(lambda: old.carry(True))
    assert f"a2 is left to CouchDB's replicator: CouchDB at {servers[1].url} does not let ganeti-{prefix}-" in old.carry(True)
    new.write_jobs({7: job(7), 9: job(9)})
    eventually(lambda: not pushing.in_step.is_set())
    assert pushing._writer() is None, "the claim is another's, so it begins no more"
    assert new.queue().jobs == {7, 9} and dict(new.jobs([7])) == {7: job(7)}
    with Client(servers[1]) as client:
        assert len(client.get(path(f"{prefix}queue", "7", open_revs="all", revs=True))) == 1


@pytest.mark.parametrize("newer", [NEW, Claim(EPOCH, "u1"), Claim(25, "u2")], ids=["another master", "the same node later", "Ganeti's own failover"])
def test_7_a_push_takes_no_user_of_another_claim(node, servers, prefix, newer):
    _old, pushing = carrying(node, servers, prefix)
    assert pushing._writer() is not None
    with Client(servers[1]) as client:
        fence.claim(client, prefix, newer)
    assert pushing._writer() is None


def test_7_a_push_waits_for_the_rights_of_its_user(node, servers, prefix):
    """Who claims may not be there yet: the document of the claim comes first."""
    _old, pushing = carrying(node, servers, prefix)
    found = pushing._writer()
    with Client(servers[1]) as client:
        client.put(f"/{prefix}ssconf/_security", fence.rights(None))
        assert pushing._writer() is None and fence.held(client, prefix) == found
        client.put(f"/{prefix}ssconf/_security", fence.rights(found))
    assert pushing._writer() == found


def test_8_a_push_claims_nothing(node, servers, prefix, monkeypatch):
    asked = []
    ask = Client.ask

    def noted(client, method, where, body=None, seconds=None):
        if isinstance(threading.current_thread(), push.Push):
            asked.append((client.server.username, method, where.partition("?")[0].removeprefix(f"/{prefix}")))
        return ask(client, method, where, body, seconds)

    monkeypatch.setattr(Client, "ask", noted)
    old, _pushing = carrying(node, servers, prefix)
    old.write_jobs({7: job(7)})
    old.write_configuration(configuration())
    new = node("a2")
    eventually(lambda: new._head() is not None)
    admins = {method for user, method, _where in asked if user == servers[1].username}
    assert admins == {"GET"} and {where.rpartition("/")[2] for _user, method, where in asked if method != "GET"} == {"_bulk_docs"}
    assert {where.partition("/")[0] for _user, method, where in asked if method != "GET"} <= set(DATABASES)


def test_9_what_is_pushed_is_the_masters_own(node, servers, prefix):
    """So who settles takes nothing of it away, and a replication that comes later finds it there."""
    old, _pushing = carrying(node, servers, prefix)
    old.write_jobs({7: job(7), 8: job(8, "running")})
    old.write_jobs({8: job(8)})
    new = node("a2")
    eventually(lambda: new.copies.contents() == old.copies.contents())
    assert old.copies.tend(frozenset) is None
    assert new.copies.contents() == old.copies.contents()
    old.write_jobs({9: job(9)})
    eventually(lambda: new.copies.contents() == old.copies.contents())
    with Client(servers[1]) as client:
        assert [conflicts.find(client, prefix + name) for name in DATABASES] == [{}] * len(DATABASES)


def test_the_users_of_another_cluster_on_the_same_server_stay(node, servers, prefix):
    mine = node("a1", OLD)
    with Client(servers[0]) as admin:
        for name in DATABASES:
            admin.put(path(f"{prefix}other_{name}"), None)
        there = fence.claim(admin, f"{prefix}other_", OLD)
        mine.claim(NEW)
        assert fence.claim(admin, f"{prefix}other_", OLD) == there
        mine.write_jobs({8: job(8)})


def test_the_password_of_a_claim_is_not_the_administrators_and_is_not_shown(node, servers, prefix):
    node("a1", OLD)
    with Client(servers[0]) as admin:
        found = fence.held(admin, prefix)
        writer, changed = fence.as_writer(servers[0], found), fence.as_writer(servers[0].as_user(servers[0].username, "changed"), found)
        assert len({writer.password, changed.password, servers[0].password}) == 3 and writer.password not in repr(writer)
        assert writer.password not in repr(admin.get(path("_users", f"org.couchdb.user:{found.user}")))


def test_servers_that_are_away_claim_nothing(servers, couch, prefix):
    couch.write_configuration({**configuration(20), "cluster": {"master_node": "u1"}})
    away = Server("http://127.0.0.1:9", "ganeti", "secret")
    assert fence.claims([away, servers[0]], prefix) == [Claim(20, "u1")]
    with Client(servers[0]) as client:
        assert fence.standing(client, "never_made_") is None
