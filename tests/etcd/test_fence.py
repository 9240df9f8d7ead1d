# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One epoch has one writer, whoever dies, comes back, or comes too late: etcd itself refuses all others."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, StorageConflict, StorageFailed, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import fence, wire
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage

from .samples import configuration, job, mine


class Losing(Client):
    """Loses the answers to transactions that write, or sends them only when it is told to: too late."""

    def __init__(self, urls):
        super().__init__(Access(urls))
        self.lose = False
        self.hold = False
        self.held = []

    def transact(self, compares, then, otherwise=()):
        if self.hold and compares:
            self.held.append((compares, then, otherwise))
            raise ConnectionFailed("the network was cut before it arrived")
        outcome = super().transact(compares, then, otherwise)
        if self.lose and compares:
            raise ConnectionFailed("the network was cut before the answer arrived")
        return outcome

    def arrive(self):
        """What was held arrives now."""
        return [super(Losing, self).transact(*each) for each in self.held]


@pytest.fixture
def losing(etcd, cluster):
    """A storage that was claimed, and its client."""
    with Losing(etcd.urls) as client:
        storage = EtcdStorage(client, cluster)
        storage.claim(mine(1, "a1"))
        yield storage, client


def held(storage):
    """Who wrote last."""
    return fence.holder(storage._client.get(storage._root + "fence"))


def test_nobody_writes_without_a_claim(open_storage):
    storage = open_storage()
    for write in (
        lambda: storage.write_configuration(configuration()),
        lambda: storage.write_jobs({1: job(1)}),
        lambda: storage.remove_jobs([1]),
        lambda: storage.write_serial(1),
        lambda: storage.write_ssconf({"master_node": "a1"}),
    ):
        with pytest.raises(StorageFailed, match="has not claimed"):
            write()


def test_a_master_that_was_replaced_is_refused_by_etcd_in_whatever_it_writes(storage, open_storage):
    storage.write_configuration(configuration(20))
    storage.write_queue({1: job(1)}, 1)
    new = open_storage()
    new.claim(mine(2, "a2"))
    new.write_configuration(configuration(30, mark="new"))
    for write in (
        lambda: storage.write_configuration(configuration(21)),
        lambda: storage.write_configuration(configuration(21, count=300)),
        lambda: storage.write_jobs({1: job(1, "old")}),
        lambda: storage.write_jobs({5: job(5)}, archived=True),
        lambda: storage.remove_jobs([1]),
        lambda: storage.write_serial(9),
        lambda: storage.write_ssconf({"master_node": "a1"}),
    ):
        said = "a2 is the master since serial number 20000000000, and the claim here is a1's since 10000000000: it was replaced as the master"
        with pytest.raises(StorageFenced, match=f"{said}. Nothing was written"):
            write()
    assert storage.intruded()
    assert new.configuration() == configuration(30, mark="new")
    assert new.queue() == (frozenset({1}), frozenset(), 1) and dict(new.jobs([1])) == {1: job(1)}
    with pytest.raises(StorageFenced, match="a2 is the master since serial number 20000000000, and a1 is since 10000000000: it was replaced"):
        storage.claim(mine(1, "a1"))
    with pytest.raises(StorageFenced, match="a2 has begun epoch 2 already, and a1 wants to"):
        storage.claim(mine(2, "a1"))
    new.write_jobs({2: job(2)})


def test_a_claim_is_not_taken_where_the_fence_holds_something_else(open_storage, client):
    storage = open_storage()
    client.transact([], [wire.Put(storage._root + "fence", b"mine")])
    with pytest.raises(StorageConflict, match="find out who did"):
        storage.claim(mine(1, "a1"))


def test_another_process_of_the_same_master_ends_nobody_and_neither_rests_on_what_the_other_has_changed(storage, open_storage):
    """As a tool beside the service."""
    storage.write_configuration(configuration(20))
    storage.write_ssconf({"master_node": "a1"})
    tool = open_storage()
    assert tool.claim(mine(1, "a1")) == mine(1, "a1")
    tool.write_configuration(configuration(21, mark="tool"))
    assert storage.intruded(), "so a service looks at all again, soon"
    with pytest.raises(StorageConflict, match="another process of this master's writes there too.*Nothing was written"):
        storage.write_configuration(configuration(22))
    storage.write_configuration(configuration(22))
    assert open_storage().configuration() == configuration(22)
    with pytest.raises(StorageConflict, match="another process"):
        tool.write_jobs({1: job(1)})
    tool.write_jobs({1: job(1)})
    assert tool.queue().jobs == {1}


def test_the_same_claim_again_changes_nothing(storage, client):
    storage.write_jobs({1: job(1)})
    revision = client.range("x").revision
    assert storage.claim(mine(1, "a1")) == mine(1, "a1")
    assert storage.claim(Claim(EPOCH + 500, "a1")) == mine(1, "a1"), "the one that stands"
    assert client.range("x").revision == revision
    storage.write_jobs({2: job(2)})


def test_within_an_epoch_the_later_master_is_the_one_with_the_higher_serial_number(storage, open_storage):
    """As after Ganeti's own failover, which begins no epoch."""
    new = open_storage()
    new.claim(Claim(EPOCH + 7, "a2"))
    with pytest.raises(StorageFenced, match="replaced"):
        storage.write_jobs({1: job(1)})
    with pytest.raises(StorageFenced, match="replaced"):
        storage.claim(mine(1, "a1"))
    assert storage.claim(mine(2, "a1")) == mine(2, "a1")


def test_a_claim_whose_answer_was_lost_is_found_again(etcd, cluster):
    with Losing(etcd.urls) as client:
        storage = EtcdStorage(client, cluster)
        client.lose = True
        with pytest.raises(ConnectionFailed):
            storage.claim(mine(1, "a1"))
        client.lose = False
        assert storage.claims() == [mine(1, "a1")] and storage.claim(mine(1, "a1")) == mine(1, "a1")
        storage.write_jobs({1: job(1)})


def test_of_many_who_claim_the_same_epoch_at_once_one_has_it(etcd, cluster, open_storage):
    names = [f"a{number}" for number in range(8)]
    storages = {name: open_storage() for name in names}
    refused = {}
    together = threading.Barrier(len(names))

    def claim(name):
        together.wait()
        try:
            storages[name].claim(mine(1, name))
        except StorageFenced as error:
            refused[name] = error.message

    threads = [threading.Thread(target=claim, args=(name,)) for name in names]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(refused) == len(names) - 1
    (winner,) = set(names) - set(refused)
    assert all(f"{winner} has begun epoch 1 already" in message for message in refused.values())
    assert storages[winner].claims() == [mine(1, winner)]
    storages[winner].write_jobs({1: job(1)})


def test_a_write_whose_answer_was_lost_is_done_once_and_the_next_one_rests_on_it(losing, open_storage):
    storage, client = losing
    storage.write_configuration(configuration(20))
    client.lose = True
    with pytest.raises(ConnectionFailed):
        storage.write_configuration(configuration(21, mark="lost"))
    client.lose = False
    assert open_storage().configuration() == configuration(21, mark="lost")
    storage.write_configuration(configuration(20))  # what was remembered would say that nothing is to be written
    assert open_storage().configuration() == configuration(20)


def test_a_write_that_arrives_too_late_is_not_done(losing, open_storage):
    storage, client = losing
    storage.write_configuration(configuration(20))
    storage.write_queue({1: job(1)}, 1)
    client.hold = True
    for write in (lambda: storage.write_configuration(configuration(21, mark="late")), lambda: storage.write_jobs({1: job(1, "late")})):
        with pytest.raises(ConnectionFailed):
            write()
    client.hold = False
    storage.write_configuration(configuration(22, mark="newer"))
    storage.write_jobs({1: job(1, "newer")})
    assert len(client.held) == 2 and not any(outcome.done for outcome in client.arrive())
    assert open_storage().configuration() == configuration(22, mark="newer")
    assert dict(storage.jobs([1])) == {1: job(1, "newer")}


def test_a_write_that_arrives_after_another_master_has_claimed_is_not_done(losing, open_storage):
    storage, client = losing
    storage.write_configuration(configuration(20))
    client.hold = True
    with pytest.raises(ConnectionFailed):
        storage.write_configuration(configuration(21, mark="late"))
    new = open_storage()
    new.claim(mine(2, "a2"))
    assert not any(outcome.done for outcome in client.arrive())
    assert new.configuration() == configuration(20)


def test_a_request_that_is_sent_twice_is_done_once(etcd, cluster, monkeypatch):
    """As where a member has done it and its answer was lost: the client sends the same to the next one."""

    class Twice(Client):
        def ask(self, where, body):
            super().ask(where, body)
            return super().ask(where, body)

    with Twice(Access(etcd.urls)) as client:
        storage = EtcdStorage(client, cluster)
        storage.claim(mine(1, "a1"))
        for serial in (20, 21, 22):
            storage.write_configuration(configuration(serial, mark=serial))
            storage.write_queue({serial: job(serial)}, serial)
        assert storage.configuration() == configuration(22, mark=22)
        assert held(storage).turn == storage._mine.turn == 7, "an empty one settles what an earlier process may have sent"


def test_an_etcd_that_was_put_back_to_an_older_state_is_looked_at_anew(storage, client, open_storage):
    """As by a restored backup: the fence holds an older transaction of ours."""
    storage.write_configuration(configuration(20))
    older = held(storage)
    storage.write_configuration(configuration(21))
    client.transact([], [wire.Put(storage._root + "fence", older.encoded())])
    with pytest.raises(StorageConflict, match="put back to an older state.*all is looked at again"):
        storage.write_configuration(configuration(22))
    storage.write_configuration(configuration(22))
    assert open_storage().configuration() == configuration(22)


def test_what_was_removed_with_its_fence_is_not_written_to(storage, client):
    client.transact([], [wire.Delete(storage._root, wire.end_of(storage._root))])
    with pytest.raises(StorageFenced, match="nobody holds it any more, a1 neither"):
        storage.write_jobs({1: job(1)})
