# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the master's own server has taken comes to the standbys at once; what may be refused there is in test_fence.py."""

from __future__ import annotations

import itertools
import pathlib
import signal
import tempfile
import time

import pytest
from couchdb.inside import Copying, Inside
from couchdb.launch import StandIn
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, StorageFailed, StorageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import carried, fence, push, replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.carried import Change, There
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.push import Push, Way
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import ARCHIVE, CONFIG, CONTAINERS, DATABASES, QUEUE
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage

from ...called import Called, Failing
from ...conftest import everything
from ...samples import CONFIGURATION, INSTANCE, configuration, job
from ...servers import of_url, options

MINE = Claim(20, "u1")
AWAY = Server("http://127.0.0.1:9", "admin", "secret")


def eventually(condition):
    """Wait until it holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def open_all(prefix, monkeypatch):
    """Makes the storage of a master that has claimed all servers, and that of each standby as its administrator sees it."""
    made = []
    monkeypatch.setattr(push, "_RETRY", (0.05, 0.1))

    def make(**named):
        found = [open_storage("couchdb", name=name, **options(prefix, **named)) for name in named]
        made.extend(found)
        found[0].prepare()
        found[0].claim(MINE)
        for server in list(named.values())[1:]:
            with Client(server) as client:
                fence.claim(client, prefix, MINE)
        return found

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def both(open_all, servers):
    """A master that brings to its standby what it writes, and the standby."""
    master, standby = open_all(a1=servers[0], a2=servers[1])
    assert master.carry(True) is None
    in_step(master)
    return master, standby


def pushes(storage):
    """What brings to each standby."""
    return storage._pushes._pushes


def in_step(storage, name="a2"):
    """Wait until a standby gets what is new at once."""
    assert pushes(storage)[name].in_step.wait(60)


def test_what_is_written_is_on_the_standby_without_a_replication(both, master, servers):
    storage, standby = both
    convert(master, storage)
    eventually(lambda: standby.copies.contents() == storage.copies.contents())
    assert everything(standby) == everything(master)
    storage.write_configuration(configuration(21, networks={"n": {"name": "lan"}}))
    storage.write_configuration(configuration(22))
    storage.write_jobs({7: job(7, "error")}, archived=True)
    storage.remove_jobs([7])
    storage.write_queue({8: job(8, "running")}, 20006)
    storage.write_queue({8: job(8)}, None)
    eventually(lambda: standby.copies.contents() == storage.copies.contents())
    assert standby.newest() == (configuration(22), 0) and dict(standby.jobs([7], archived=True)) == {7: job(7, "error")}
    with Client(servers[0]) as client:
        assert replication.arrange(client, {}, change=False).removed == [] and storage.carry(True) is None


def test_it_counts_as_one_that_has_a_job(both):
    storage, _standby = both
    storage.write_jobs({5: job(5)})
    eventually(lambda: storage.everywhere(5) == {"a1": job(5), "a2": job(5)})


def test_nothing_is_brought_before_and_after(both):
    storage, standby = both
    before = pushes(storage)["a2"]
    storage.carry(False)
    storage.write_jobs({5: job(5)})
    before.join(60)
    storage.carry(True)
    in_step(storage)
    storage.write_jobs({6: job(6)})
    eventually(lambda: standby.queue().jobs == {6})
    storage.close()
    assert storage._pushes is None
    storage.write_jobs({9: job(9)})
    assert not before.is_alive() and standby.queue().jobs == {6}


def test_without_a_claim_nothing_is_brought(servers, prefix, couch):
    storage = open_storage("couchdb", name="a1", **options(prefix, a1=servers[0], a2=servers[1]))
    assert storage.carry(True) is None and storage._pushes is None
    storage.close()


def test_what_was_there_before_is_brought_by_replication_first(open_all, servers, monkeypatch):
    monkeypatch.setattr(push, "_JOIN", 0.2)
    storage, standby = open_all(a1=servers[0], a2=servers[1])
    storage.write_configuration(CONFIGURATION)
    storage.write_jobs({5: job(5, "running"), 6: job(6, "running")})
    storage.carry(True)
    eventually(lambda: "a2 is left to CouchDB's replicator" in (storage.carry(True) or ""))
    assert "which replications from the master have not brought yet" in storage.carry(True)
    assert storage.copies.tend(frozenset) is None
    in_step(storage)
    storage.copies.rest()
    assert storage.carry(True) is None
    storage.write_configuration(configuration(21))
    storage.write_jobs({5: job(5), 7: job(7)})
    eventually(lambda: dict(standby.jobs([5, 7])) == {5: job(5), 7: job(7)} and standby.newest() == (configuration(21), 0))


def test_a_standby_that_is_silent_holds_nobody(open_all, servers, tmp_path, monkeypatch):
    """It is named, and taken up again when it answers."""
    silent = StandIn(tmp_path / "silent", volatile=True)
    url = of_url(silent.url).url
    monkeypatch.setattr(push, "Client", lambda server, seconds, attempts: Client(server, 0.3 if server.url == url else seconds, attempts))
    storage, standby, _other = open_all(a1=servers[0], a2=servers[1], a3=of_url(silent.url))
    try:
        storage.carry(True)
        in_step(storage), in_step(storage, "a3")
        silent.process.send_signal(signal.SIGSTOP)
        for number in itertools.count(1):
            storage.write_jobs({number: job(number)})
            eventually(lambda number=number: number in standby.queue().jobs)
            said = storage.carry(True)
            if said:
                break
        assert said.startswith("a3 is left to CouchDB's replicator: CouchDB at") and "a2" not in said
        monkeypatch.setattr(push, "Client", Client)
        silent.process.send_signal(signal.SIGCONT)
        in_step(storage, "a3")
        storage.write_jobs({number + 1: job(number + 1)})
        eventually(lambda: storage.everywhere(number + 1)["a3"] == job(number + 1))
        assert storage.carry(True) is None
    finally:
        silent.process.send_signal(signal.SIGCONT)
        storage.close()
        silent.stop()


def test_what_is_dropped_while_replication_is_waited_for_is_no_fault_of_the_standby(tmp_path):
    """It looks again at what there is then, as what was dropped may have been of the configuration."""
    (own, storage, _given), (there, _standby, _nothing) = server(tmp_path / "a1"), server(tmp_path / "a2")
    storage.write_configuration(CONFIGURATION)
    copies = {name: Copying(own, there, name) for name in (*CONTAINERS, CONFIG)}
    one = Push(Way(AWAY, AWAY, "", MINE))
    change = Change(QUEUE, {"_id": "1", "_rev": "1-a"}, None)
    looks = []

    class Late(Called):
        """A standby that gets everything when it was asked for the first time, in which time much is written."""

        def ask(self, method, where, body=None, seconds=None):
            answer = super().ask(method, where, body, seconds)
            looks.append(where)
            if len(looks) == 1:
                one.give([change] * push.MOST)
                one.give([change])
                assert one._waiting is None
                storage.write_configuration(configuration(21))
                for each in copies.values():
                    each.step()
            return answer

    found = one._join(Called(own), Late(there))
    assert one._waiting == [] and looks.count("/nodes/_revs_diff") == 3, "in vain, for what was wanted then, and for what is there now"
    assert found.history(Change(CONFIG, {"_id": CONFIG, "_rev": "3-c"}, Called(own).get("/config_data/config_data")["_rev"]), {}) is not None


@pytest.mark.parametrize("late", [True, False], ids=["too late", "too many"])
def test_what_waits_is_bounded(late, monkeypatch):
    one = Push(Way(AWAY, AWAY, "", MINE))
    change = Change(QUEUE, {"_id": "1", "_rev": "1-a"}, None)
    one.give([change])
    assert one._waiting is None, "before it has begun nothing waits"
    one._waiting = []
    one.give([change] * (1 if late else push.MOST))
    assert len(one._waiting) == (1 if late else push.MOST)
    monkeypatch.setattr(push.time, "monotonic", lambda: one._since + (push.SECONDS + 0.1 if late else 0.0))
    one.give([change])
    assert one._waiting is None
    with pytest.raises(StorageFailed, match="http://127.0.0.1:9 did not take within 5 s what was written"):
        one._take()


def test_a_document_that_the_standby_refuses_is_named(tmp_path, monkeypatch):
    (own, storage, given_), (there, _standby, _nothing) = server(tmp_path / "a1"), server(tmp_path / "a2")
    storage.write_jobs({1: job(1)})
    storage.write_jobs({2: {**job(2), "text": "x" * 1000}})
    monkeypatch.setattr("couchdb.documents.MAXIMUM", 900)
    with pytest.raises(StorageRefused, match="too large"):
        bring(own, Called(there), There(), given_)
    assert Called(there).get("/queue/1")["info"] == job(1), "the others are there"


# --- Without network and threads, step by step ---------------------------------------------------------------------------


class Given(list):
    """What is to be brought."""

    def give(self, database, batch, made):
        self.extend(carried.changes(database, batch, made))

    def end(self):
        """Nothing is running."""


def server(directory):
    """A server with its databases, a storage there, and what the storage gives to be brought."""
    inside = Inside(directory)
    storage = CouchStorage(Called(inside))
    for name in DATABASES:
        assert inside.ask("PUT", f"/{name}").status == 201
    storage._pushes = Given()
    return inside, storage, storage._pushes


def bring(own, client, there, changes):
    """As the thread does with all that waits."""
    Push(Way(AWAY, AWAY, "", MINE))._bring(Called(own), client, there, list(changes))
    changes.clear()


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("together", [True, False], ids=["in one turn", "one by one"])
def test_wherever_it_fails_the_head_is_never_there_before_its_objects(lost, together, tmp_path):
    for at in itertools.count(1):
        (own, storage, given_), (inside, standby, _nothing) = server(tmp_path / f"a1-{at}"), server(tmp_path / f"a2-{at}")
        failing, there = Failing(inside, at, lost), There()
        states = [CONFIGURATION, configuration(21, instances={INSTANCE: {"name": "one"}}, networks={"n": {"name": "lan"}})]
        states += [configuration(22, instances={INSTANCE: {"name": "two"}}), configuration(23)]
        failed = False
        for state in states:
            storage.write_configuration(state)
            if together and state is not states[-1]:
                continue
            try:
                bring(own, failing, there, given_)
            except ConnectionFailed:
                failed = True
                break
        if not failed:
            break
        head = standby._head()
        if head is not None:
            assert standby.newest() == (next(each for each in states if each["serial_no"] == head["serial"]), 0), at
    assert standby.newest() == (states[-1], 0) and at > 5


OPERATIONS = (
    lambda storage: storage.write_queue({1: job(1, "queued"), 2: job(2, "queued")}, 2),
    lambda storage: storage.write_configuration(configuration(21, networks={"n": {"name": "lan"}})),
    lambda storage: storage.write_queue({1: job(1, "running")}, None),
    lambda storage: storage.write_configuration(configuration(22)),
    lambda storage: storage.write_queue({1: job(1)}, 3),
    lambda storage: storage.write_jobs({1: job(1)}, archived=True),
    lambda storage: storage.remove_jobs([1]),
    lambda storage: storage.write_configuration(configuration(23, networks={"n": {"name": "back"}})),
    lambda storage: storage.write_queue({1: job(1, "queued")}, None),
)
"""What a master writes: among it what was removed comes back, as with a restore."""


def branches(client):
    """Of each database and document its newest revisions and the names of all before."""
    found = {}
    for name in DATABASES:
        for row in client.get(path(name, "_changes", style="all_docs"))["results"]:
            leaves = client.get(path(name, row["id"], open_revs="all", revs=True))
            found[name, row["id"]] = sorted((each["ok"]["_rev"], each["ok"]["_revisions"]["ids"], each["ok"].get("_deleted")) for each in leaves)
    return found


@given(st.lists(st.sampled_from(["push", "copy", "push, copy", "copy, push", "wait", "fail"]), min_size=len(OPERATIONS), max_size=len(OPERATIONS)))
@settings(max_examples=12, deadline=None)
def test_beside_a_replication_it_makes_what_that_would_make(steps):
    """Whichever of both brings what first; no branch is made, and nothing is known there by less of its history."""
    with tempfile.TemporaryDirectory() as directory:
        (own, storage, given_), (standby, _storage, _nothing) = server(pathlib.Path(directory, "a1")), server(pathlib.Path(directory, "a2"))
        copies = {name: Copying(own, standby, name) for name in DATABASES}
        there = There()
        for operation, step in zip(OPERATIONS, steps):
            operation(storage)
            for each in step.split(", "):
                if each == "push":
                    bring(own, Called(standby), there, given_)
                elif each == "copy":
                    for copying in copies.values():
                        copying.step()
                elif each == "fail":
                    given_.clear()
                    there = There()
                    for name in (*CONTAINERS, CONFIG):  # which is waited for
                        copies[name].step()
        for copying in copies.values():
            copying.step()
        assert branches(Called(standby)) == branches(Called(own))


def test_a_job_leaves_the_queue_when_it_is_in_the_archive_there(tmp_path):
    """One whose archived job was left to replication is left to that too."""
    (own, storage, given_), (inside, standby, _nothing) = server(tmp_path / "a1"), server(tmp_path / "a2")
    there = There()
    storage.write_jobs({1: job(1), 2: job(2)})
    bring(own, Called(inside), there, given_)
    storage.write_jobs({1: job(1)}, archived=True)
    given_.clear()
    storage.write_jobs({2: job(2)}, archived=True)
    storage.remove_jobs([1, 2])
    bring(own, Called(inside), there, given_)
    assert (standby.queue().jobs, standby.queue().archived) == ({1}, {2})


@pytest.mark.parametrize(
    ("rev", "parent", "known", "before", "history"),
    [
        ("1-a", None, None, None, {"start": 1, "ids": ["a"]}),
        ("2-b", "1-a", "1-a", None, {"start": 2, "ids": ["b", "a"]}),
        ("3-c", "2-b", "1-a", "2-b", {"start": 3, "ids": ["c", "b"]}),
        ("3-c", "2-b", "1-a", None, None),
        ("3-c", "2-b", None, None, None),
        ("3-c", None, None, None, None),
        ("12-c", None, "11-b", None, None),
    ],
)
def test_how_much_of_its_history_a_document_brings(rev, parent, known, before, history):
    there = There()
    if known:
        there.note(QUEUE, "1", known)
    assert there.history(Change(QUEUE, {"_id": "1", "_rev": rev}, parent), {"1": before} if before else {}) == history


def test_the_order_of_what_waits():
    waiting = [Change(name, {"_id": "x", "_rev": f"{number}-a"}, None) for number, name in enumerate(["config_data", QUEUE, "instances", QUEUE, ARCHIVE], 1)]
    assert [(name, [each.rev for each in found]) for name, found in carried.in_order(waiting)] == [
        (ARCHIVE, ["5-a"]), (QUEUE, ["2-a", "4-a"]), ("instances", ["3-a"]), ("config_data", ["1-a"]),
    ]  # fmt: skip
    assert sorted(carried.ORDER) == sorted(DATABASES) and carried.ORDER[-1] == CONFIG
