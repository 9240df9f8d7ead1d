# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever writes may die between any two transactions, or while one is on its way: whoever reads has the old configuration or the new one, whole."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import changes
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage

from .samples import configuration, job, mine, name


class Death(BaseException):
    """The process is no more. Nothing of it may catch this."""


class Mortal(Client):
    """Dies at a transaction that writes: before it is done, or right after."""

    def __init__(self, urls):
        super().__init__(Access(urls))
        self.left = None
        self.after = False
        self.count = 0

    def transact(self, compares, then, otherwise=()):
        if not compares:
            return super().transact(compares, then, otherwise)
        self.count += 1
        last = self.left == 0
        if self.left is not None:
            self.left -= 1
        if last and not self.after:
            raise Death
        outcome = super().transact(compares, then, otherwise)
        if last:
            raise Death
        return outcome


OLD = configuration(20, 12)
NEW = configuration(21, 14, mark="new")
del NEW["instances"][name(103)], NEW["instances"][name(107)]
LATER = configuration(22, 3, mark="later")


@pytest.fixture
def narrow(monkeypatch):
    """As where a change is much larger than etcd takes at once."""
    monkeypatch.setattr(changes, "OPERATIONS", 4)


def deaths(count):
    """Each moment at which a writer may die that does so many transactions."""
    return [(left, after) for left in range(count) for after in (False, True)]


def write(etcd, cluster, epoch, owner, what, left=None, after=False):
    """Claim, then write; how many transactions that took, without the claim. Dies at the one that is named."""
    with Mortal(etcd.urls) as client:
        storage = EtcdStorage(client, cluster)
        storage.claim(mine(epoch, owner))
        client.count, client.left, client.after = 0, left, after
        storage.write_configuration(what)
        return client.count


def test_a_large_change_is_whole_at_each_moment_and_whoever_comes_next_ends_it(etcd, narrow, open_storage_anew):
    storage = open_storage_anew()
    storage.write_configuration(OLD)
    count = write(etcd, storage._root.split("/")[1], 1, "a1", NEW)
    assert count > 8, "staged in parts, committed, folded in parts, finished"
    seen = set()
    for left, after in deaths(count):
        storage = open_storage_anew()
        cluster = storage._root.split("/")[1]
        storage.write_configuration(OLD)
        with pytest.raises(Death):
            write(etcd, cluster, 2, "a2", NEW, left, after)
        found = storage.configuration()
        assert found in (OLD, NEW)
        seen.add(found == NEW)
        assert found == NEW or not seen >= {True, False}, "once it is the new one it stays so"
        write(etcd, cluster, 3, "a3", LATER)
        assert storage.configuration() == LATER
        assert storage._client.scan(storage._root + "staged/")[0] == []
    assert seen == {True, False}


def test_whoever_ends_a_large_change_may_die_too(etcd, narrow, open_storage_anew):
    for left, after in deaths(6):
        storage = open_storage_anew()
        cluster = storage._root.split("/")[1]
        storage.write_configuration(OLD)
        with pytest.raises(Death):
            write(etcd, cluster, 2, "a2", NEW, 6, True)  # committed, and folded in part
        assert storage.configuration() == NEW
        with pytest.raises(Death):
            write(etcd, cluster, 3, "a3", LATER, left, after)
        assert storage.configuration() in (NEW, LATER)
        write(etcd, cluster, 4, "a4", NEW)
        assert storage.configuration() == NEW


def test_a_small_change_is_there_or_not(etcd, open_storage_anew):
    for left, after in deaths(2):  # the first one settles what an earlier process may have sent
        storage = open_storage_anew()
        storage.write_configuration(OLD)
        with pytest.raises(Death):
            write(etcd, storage._root.split("/")[1], 2, "a2", NEW, left, after)
        assert storage.configuration() == (NEW if (left, after) == (1, True) else OLD)


def test_the_first_configuration_is_there_when_all_of_it_is(etcd, narrow, open_storage_anew):
    count = write(etcd, open_storage_anew()._root.split("/")[1], 1, "a1", OLD)
    for left, after in deaths(count):
        storage = open_storage_anew()
        cluster = storage._root.split("/")[1]
        with pytest.raises(Death):
            write(etcd, cluster, 1, "a1", OLD, left, after)
        whole = left == count - 1 and after
        assert (storage._client.get(storage._root + "config/head") is not None) == whole
        write(etcd, cluster, 1, "a1", NEW)
        assert storage.configuration() == NEW


def test_whoever_reads_while_a_large_change_is_written_has_one_or_the_other(etcd, narrow, open_storage_anew):
    """At each revision there ever was: a reader takes all at one."""
    storage = open_storage_anew()
    storage.write_configuration(OLD)
    first = storage._client.range(storage._root + "config/head").kvs[0].modified
    storage.write_configuration(NEW)
    storage.write_configuration(LATER)
    last = storage._client.range(storage._root + "config/head").kvs[0].modified
    found = []
    for revision in range(first, last + 1):
        kvs, staged = (storage._scan(prefix, revision)[0] for prefix in ("config/", "staged/"))
        found.append(changes.configuration(changes.stored(kvs, staged)))
    assert [each for number, each in enumerate(found) if not number or each != found[number - 1]] == [OLD, NEW, LATER]


def test_the_job_id_is_there_no_later_than_its_job(etcd, narrow, open_storage_anew):
    jobs = {number: job(number) for number in range(1, 20)}
    for left, after in deaths(5):
        storage = open_storage_anew()
        with Mortal(etcd.urls) as client:
            dying = EtcdStorage(client, storage._root.split("/")[1])
            dying.claim(mine(2, "a2"))
            client.left, client.after = left, after
            with pytest.raises(Death):
                dying.write_queue(jobs, 19)
        queue = storage.queue()
        assert not queue.jobs or queue.serial == 19
        assert dict(storage.jobs(jobs)) == {number: jobs[number] for number in queue.jobs}
