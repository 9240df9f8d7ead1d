# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three members: one may die at any moment and all goes on; two, and all is told within a bounded time; what was acknowledged is there when they are back."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import changes
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage

from .launch import Etcd
from .samples import configuration, job, mine

BOUND = 20
"""Seconds: more than the client is given, on a machine that is busy."""


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """An etcd of three members, all of which run at the beginning of a test."""
    started = Etcd(tmp_path_factory.mktemp("three"), 3)
    yield started
    started.stop()


@pytest.fixture
def members(three):
    """The three; those that a test has killed are started again."""
    yield three.members
    ended = [each for each in three.members if each.process is None]
    if ended:
        three.start(*ended)


@pytest.fixture
def storage(three, cluster):
    """A storage on three members."""
    with Client(Access(three.urls)) as client:
        made = EtcdStorage(client, cluster)
        made.claim(mine(1, "a1"))
        yield made


def leader(three, client):
    """The member that leads, and the others."""
    states = {each: client.member(one) for each, one in zip(three.members, client.access.endpoints)}
    leads = next(each for each, state in states.items() if state["leader"] == state["header"]["member_id"])
    return leads, [each for each in three.members if each is not leads]


def test_each_member_may_die_and_come_back(three, members, storage):
    for number, member in enumerate(members):
        three.kill(member)
        storage.write_configuration(configuration(20 + number, mark=number))
        storage.write_queue({number + 1: job(number + 1)}, number + 1)
        assert storage.configuration() == configuration(20 + number, mark=number)
        three.start(member)
    assert storage.queue().jobs == {1, 2, 3}


def test_the_one_that_leads_dies_while_it_is_written_to(three, members, storage, monkeypatch):
    """Nothing that was acknowledged is lost, and the configuration is whole whenever somebody reads it."""
    monkeypatch.setattr(changes, "OPERATIONS", 4)
    storage.write_configuration(configuration(20, 12))
    acknowledged, problems, stop = [], [], threading.Event()

    def read():
        with Client(Access(three.urls)) as client:
            reader = EtcdStorage(client, storage._root.split("/")[1])
            while not stop.is_set():
                found = reader.configuration()
                if found != configuration(found["serial_no"], 12, mark=found["cluster"]["mark"]):
                    problems.append(found)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        leads, _others = leader(three, storage._client)
        for serial in range(21, 41):
            if serial == 30:
                killing = threading.Thread(target=three.kill, args=(leads,))
                killing.start()
            storage.write_configuration(configuration(serial, 12, mark=serial))
            storage.write_jobs({serial: job(serial)})
            acknowledged.append(serial)
        killing.join()
    finally:
        stop.set()
        reading.join()
    assert not problems
    assert storage.configuration() == configuration(40, 12, mark=40)
    assert storage.queue().jobs == set(acknowledged) == set(range(21, 41))


def test_without_a_majority_all_is_refused_within_a_bounded_time_and_goes_on_afterwards(three, members, storage):
    storage.write_configuration(configuration(20))
    _leads, others = leader(three, storage._client)
    three.kill(*others)
    storage._client._seconds = 4.0
    for ask in (storage.configuration, lambda: storage.write_configuration(configuration(21)), lambda: storage.write_jobs({1: job(1)})):
        begun = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            ask()
        assert time.monotonic() - begun < BOUND
        assert "see whether a majority of the members runs" in caught.value.message
        assert all(url in caught.value.message for url in three.urls)
    three.start(*others)
    storage._client._seconds = 20.0
    assert storage.configuration() in (configuration(20), configuration(21))  # whether it was done is what nobody could tell
    storage.write_configuration(configuration(22))
    storage.write_jobs({1: job(1)})
    assert storage.configuration() == configuration(22) and storage.queue().jobs == {1}


def test_what_was_acknowledged_outlasts_a_kill_of_all(three, members, storage):
    for serial in range(20, 30):
        storage.write_configuration(configuration(serial))
        storage.write_queue({serial: job(serial)}, serial)
    three.kill(*members)
    three.start(*members)
    assert storage.configuration() == configuration(29)
    assert storage.queue() == (frozenset(range(20, 30)), frozenset(), 29)
    storage.write_configuration(configuration(30))


def test_a_replaced_master_is_refused_whichever_member_it_asks(three, members, cluster):
    storages = []
    for url in three.urls:
        storages.append(EtcdStorage(Client(Access([url])), cluster))
        storages[-1].claim(mine(len(storages), f"a{len(storages)}"))
    for number, each in enumerate(storages[:-1], 1):
        with pytest.raises(StorageFenced, match=f"a3 is the master since serial number 30000000000, and the claim here is a{number}'s"):
            each.write_jobs({number: job(number)})
    storages[-1].write_jobs({3: job(3)})
    assert all(each.queue().jobs == {3} for each in storages)
    for each in storages:
        each.close()


def test_members_that_are_away_are_told_of_before_and_after_it_is_too_late(three, members, storage, disk):
    for each in (disk, storage):
        each.write_configuration(configuration(20))
    assert storage.machines == 3 and storage.check(disk, 10).problems == []
    three.kill(members[0])
    assert [(each.critical, each.words) for each in storage.check(disk, 10).problems] == [
        (False, f"1 of 3 members of etcd do not answer: {members[0].url}")
    ]
    with pytest.raises(ConnectionFailed, match=members[0].url):
        storage.probe()
    three.kill(members[1])
    storage._client._seconds = 4.0
    problems = storage.check(disk, 10).problems
    assert all(each.critical for each in problems) and "2 of 3 members of etcd do not answer" in problems[-1].words


def test_each_member_says_whether_it_has_a_job(three, members, storage):
    """A majority has it on stable storage when the write is acknowledged, and says so when it has heard that; the last one follows."""

    def eventually(number, holds):
        deadline = time.monotonic() + BOUND
        while not holds(storage.everywhere(number)):
            assert time.monotonic() < deadline, storage.everywhere(number)

    assert storage.apart == 3 and storage.everywhere(7) == dict.fromkeys(three.urls)
    storage.write_jobs({7: job(7)})
    eventually(7, lambda found: found == dict.fromkeys(three.urls, job(7)))
    three.kill(members[2])
    storage.write_jobs({8: job(8)}, archived=True)
    eventually(8, lambda found: [found[url] for url in three.urls[:2]] == [job(8), job(8)])
    assert isinstance(storage.everywhere(8)[three.urls[2]], str)
