# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watchdog asks of etcd: that one of several begins an epoch, and that nodes read what others have written."""

from __future__ import annotations

import concurrent.futures

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage as open_by_name
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Heard

from .samples import configuration, mine


def test_of_many_one_is_elected_and_the_others_are_told(storage, etcd, cluster):
    storage.write_configuration(configuration())
    assert storage.elected() == mine(1, "a1")

    def try_it(name):
        with EtcdStorage(Client(Access(etcd.urls)), cluster) as own:
            try:
                own.elect(mine(2, name), ["a1", "a2"], dead=["a1"])
            except StorageFenced:
                return None
            return name

    with concurrent.futures.ThreadPoolExecutor(6) as executor:
        elected = [name for name in executor.map(try_it, [f"a{number}" for number in range(2, 8)]) if name]
    assert len(elected) == 1 and storage.elected() == mine(2, elected[0])
    with pytest.raises(StorageFenced, match="it was replaced as the master"):
        storage.write_serial(9)


def test_nodes_read_what_others_have_written(storage, etcd, cluster):
    with open_by_name("etcd", name="a2", endpoints=etcd.urls, cluster=cluster) as second:
        mine_, others = second.notes(["a1", "a2"], 5), storage.notes(["a1", "a2"], 5)
        mine_.put("watcher", {"sees": "alive"})
        mine_.put("watcher", {"sees": "gone"})
        assert others.read() == {"a1": Heard({}), "a2": Heard({"watcher": {"sees": "gone"}})} and not mine_.own_servers
        storage.write_serial(5)
        assert not storage.intruded(), "a note is nobody's writing past the fence"
        mine_.close()
        others.close()


def test_where_no_majority_answers_nothing_is_known(cluster):
    with Client(Access(["http://127.0.0.1:9"]), seconds=1) as client:
        notes = EtcdStorage(client, cluster).notes(["a1"], 1)
        heard = notes.read()["a1"]
        assert not heard.answers and "No member of etcd" in heard.problem
        notes.close()
