# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be read of a standby whose master died while the configuration changed: ten databases that were copied each for itself."""

from __future__ import annotations

import heapq
import json
import os
import pathlib
import random
import tempfile
import time

import pytest
from couchdb.disorder import pauses
from couchdb.inside import Copying, Inside
from couchdb.launch import StandIn
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageIncomplete
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import last_writes, replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import CONFIG, CONTAINERS, canonical

from ...called import Called
from ...samples import CONFIGURATION, DISK, INSTANCE, configuration
from ...servers import of_url

SEEDS = int(os.environ.get("GANETI_DISORDER_SEEDS", "12"))
"""How many deaths of a master; the figures of 200 are in the commit that brought this."""
RATE = 5.0
"""Changes a second."""
UNTIL = 12.0
"""Seconds until the master dies, at most."""


def storage(directory):
    """A server, and a storage there with its databases made."""
    inside = Inside(directory)
    made = CouchStorage(Called(inside))
    for name in (*CONTAINERS, CONFIG):
        assert inside.ask("PUT", f"/{name}").status == 201
    return inside, made


def started(draw):
    """A configuration of twenty instances of a disk each, on four nodes."""
    found = configuration()
    found["nodes"] = {f"n{number}": {"name": f"node{number}", "serial_no": 1} for number in range(4)}
    for number in range(20):
        _add(found, number, draw)
    return found


def _add(found, number, draw):
    found["instances"][f"i{number}"] = {"name": f"inst{number}", "disks": [f"d{number}"], "beparams": {"vcpus": 1}, "text": draw.randbytes(300).hex()}
    found["disks"][f"d{number}"] = {"size": 1024, "logical_id": ["xenvg", f"disk{number}"]}


def changed(before, draw):
    """The next configuration: as a job has it, an instance, its disk and its node; or one that comes, or goes."""
    found = json.loads(json.dumps(before))  # a copy, in a tenth of the time of copy.deepcopy
    found["serial_no"] += draw.choice((1, 1, 2))
    kind = draw.random()
    number = draw.randrange(20)
    if kind < 0.1:
        _add(found, draw.randrange(20, 24), draw)
    elif kind < 0.2:
        number = draw.randrange(20, 24)
        found["instances"].pop(f"i{number}", None)
        found["disks"].pop(f"d{number}", None)
    else:
        found["instances"][f"i{number}"]["beparams"]["vcpus"] += 1
        if kind > 0.5:
            found["disks"][f"d{number}"]["size"] += 1
            found["nodes"][f"n{draw.randrange(4)}"]["serial_no"] += 1
    return found


def dies(directory, seed):
    """Let a master die; the storage of its standby, and all configurations that there were by their serial numbers."""
    draw = random.Random(seed)
    (there, master), (here, standby) = storage(directory / "master"), storage(directory / "standby")
    now = started(draw)
    master.write_configuration(now)
    written = {now["serial_no"]: now}
    copies = {name: Copying(there, here, name) for name in (*CONTAINERS, CONFIG)}
    for each in copies.values():
        each.step()
    late = {name: pauses(str(seed), name) for name in copies}
    ahead = [(0.1 + next(late[name]), name) for name in copies] + [(1 / RATE, "")]
    heapq.heapify(ahead)
    death = draw.uniform(UNTIL / 2, UNTIL)
    while ahead[0][0] < death:
        moment, name = heapq.heappop(ahead)
        if name:
            copies[name].step()
        else:
            now = changed(now, draw)
            master.write_configuration(now)
            written[now["serial_no"]] = now
        heapq.heappush(ahead, (moment + (0.1 + next(late[name]) if name else 1 / RATE), name))
    return standby, written


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_standby_has_a_whole_configuration_whenever_the_master_dies(tmp_path, seed, record_property):
    standby, written = dies(tmp_path, seed)
    found = standby.newest()
    assert canonical(found.configuration) == canonical(written[found.serial]), "what is read was there as a whole, at that serial number"
    assert found.behind == standby._head()["serial"] - found.serial
    record_property("behind", found.behind)
    record_property("asked", len(standby._client.asked))


def pair(directory):
    """A master's storage and a standby's, and the replications between them by name; both hold the same."""
    (there, master), (here, standby) = storage(directory / "master"), storage(directory / "standby")
    copies = {name: Copying(there, here, name) for name in (*CONTAINERS, CONFIG)}
    master.write_configuration(CONFIGURATION)
    for each in copies.values():
        each.step()
    return master, standby, copies


def named(serial, name, **containers):
    """A configuration whose instance has this name."""
    return configuration(serial, instances={INSTANCE: {"name": name}}, **containers)


def test_what_arrives_first_is_whole_beside_what_is_late(tmp_path):
    """The head says what its writes changed, added and removed; none of it has come."""
    master, standby, copies = pair(tmp_path)
    master.write_configuration(named(21, "one", networks={"n": {"name": "lan"}}))
    master.write_configuration(named(22, "two", networks={"n": {"name": "lan"}}, disks={}))
    copies[CONFIG].step()
    assert standby.newest() == (named(22, "two", networks={"n": {"name": "lan"}}, disks={}), 0)


def test_what_is_too_new_is_read_as_it_was(tmp_path):
    """The instance's revision of then was left out; the head of then says what was in it."""
    master, standby, copies = pair(tmp_path)
    master.write_configuration(named(21, "one"))
    copies[CONFIG].step()
    for serial in (22, 23):
        master.write_configuration(named(serial, f"later{serial}", filters={"f": {"rules": serial}}))
    copies["instances"].step()
    copies["filters"].step()
    assert standby.newest() == (named(21, "one"), 0)


def test_an_older_one_is_taken_where_the_newest_is_not_whole(tmp_path, monkeypatch):
    """As with databases that an earlier release wrote: config_data tells of nothing, and the objects for it have not come."""
    monkeypatch.setattr(last_writes, "BYTES", 0)
    master, standby, copies = pair(tmp_path)
    master.write_configuration(named(24, "one"))
    copies[CONFIG].step()
    assert standby.newest() == (CONFIGURATION, 4) and standby.configuration() == CONFIGURATION
    copies["instances"].step()
    assert standby.newest() == (named(24, "one"), 0)


def test_where_none_is_whole_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(last_writes, "BYTES", 0)
    master, standby, copies = pair(tmp_path)
    for serial in (21, 22):
        master.write_configuration(named(serial, f"name{serial}"))
        copies[CONFIG].step()
    copies["instances"].step()
    standby._client.ask("PUT", "/config_data/_revs_limit", 2)
    master.write_configuration(named(23, "three"))
    copies[CONFIG].step()
    assert standby._client.ask("POST", "/config_data/_compact", {}).status == 202
    with pytest.raises(StorageIncomplete, match="serial number 23 is not complete .*instances do not fit it"):
        standby.newest()


def test_a_write_whose_head_was_lost_is_told_by_the_next(tmp_path):
    """The service died between the objects and the head, and writes on after its restart: the standby has nothing but the head of that."""
    master, standby, copies = pair(tmp_path)
    update = CouchStorage._update
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(CouchStorage, "_update", lambda self, database, *rest: None if database == CONFIG else update(self, database, *rest))
        master.write_configuration(named(21, "one"))
    master.forget()
    master.write_configuration(named(22, "one", filters={"f": {}}))
    copies[CONFIG].step()
    assert standby.newest() == (named(22, "one", filters={"f": {}}), 0)


def cut_off(master, configuration_then):
    """Write the objects of a configuration and not its head, as a service that dies; and start anew."""
    update = CouchStorage._update
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(CouchStorage, "_update", lambda self, database, *rest: {} if database == CONFIG else update(self, database, *rest))
        master.write_configuration(configuration_then)
    master.forget()


@pytest.mark.parametrize(
    "lost",
    [
        named(22, "two"),
        configuration(22, instances={}),  # gone, and so not to be seen any more
        named(19, "older"),  # a snapshot that is restored
        configuration(19, instances={}),
    ],
)
def test_what_the_next_head_tells_is_what_there_is(tmp_path, lost):
    """The last head told of an object that a lost write has changed or removed: the next one must not tell of it as it was before."""
    master, standby, copies = pair(tmp_path)
    master.write_configuration(named(21, "one"))
    cut_off(master, lost)
    last = {**lost, "serial_no": 23, "filters": {"f": {}}}
    master.write_configuration(last)
    assert master.newest() == (last, 0)
    copies[CONFIG].step()
    assert standby.newest() == (last, 0)


STATES = st.fixed_dictionaries({name: st.dictionaries(st.sampled_from("abc"), st.fixed_dictionaries({"n": st.integers(0, 2)})) for name in ("nodes", "disks")})
LOST = len(CONTAINERS) + 1
"""How many databases a write comes to: all, or fewer where it is cut off."""
STEPS = st.lists(st.tuples(STATES, st.sampled_from([LOST, LOST, LOST, 6, 5, 1]), st.sets(st.sampled_from(["nodes", "disks", CONFIG]))), max_size=6)


@given(STEPS, STATES, st.integers(1, 30))
@settings(max_examples=150)
def test_whatever_was_lost_what_is_written_as_a_whole_is_read(steps, last, serial):
    """With a service that dies in any database, and replications that come to some of them; and at last of any serial number, as a restore takes them back."""
    with tempfile.TemporaryDirectory() as directory:
        master, standby, copies = pair(pathlib.Path(directory))
        written = [canonical(CONFIGURATION)]
        for number, (objects, count, copied) in enumerate(steps, 21):
            wanted = configuration(number, **objects)
            written.append(canonical(wanted))
            _write_to_some(master, wanted, count)
            for name in sorted(copied):
                copies[name].step()
            assert canonical(standby.newest().configuration) in written
        master.write_configuration(configuration(serial, **last))
        assert master.newest() == (configuration(serial, **last), 0)
        copies[CONFIG].step()
        assert canonical(standby.newest().configuration) in [*written, canonical(configuration(serial, **last))]
        for each in copies.values():
            each.step()
        assert standby.newest() == (configuration(serial, **last), 0)


def _write_to_some(master, wanted, count):
    """Write a configuration into the first databases, and start anew where that were not all."""
    update, left = CouchStorage._update, [True] * count

    def some(self, database, parts):
        return update(self, database, parts) if left and left.pop() else {}

    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(CouchStorage, "_update", some)
        master.write_configuration(wanted)
    if count < LOST:
        master.forget()


def test_a_head_that_tells_what_is_not_so_keeps_nobody_from_reading(tmp_path):
    """The digests decide."""
    master, _standby, _copies = pair(tmp_path)
    head = master._head()
    wrong = [{"serial": 20, "objects": {"instances": {INSTANCE: {"name": "never"}, "never": {}}, "disks": {DISK: None}}}]
    assert master._client.put("/config_data/config_data", {**head, "recent": wrong})["ok"]
    assert master._client.ask("POST", "/config_data/_compact", {}).status == 202  # and no older one
    assert master.newest() == (CONFIGURATION, 0)


def test_replications_out_of_order_of_a_running_server(tmp_path):
    """The stand-in as a program dawdles too, and in the end has all; the same seed, the same delays."""
    assert [next(pauses("7", "a")) for _each in range(2)] == [next(pauses("7", "a"))] * 2 != [next(pauses("8", "a"))] * 2
    servers = [StandIn(tmp_path / "one", disorder="7", volatile=True), StandIn(tmp_path / "two", volatile=True)]
    try:
        one, two = (of_url(each.url) for each in servers)
        with Client(one) as client, Client(two) as other:
            master, standby = CouchStorage(client), CouchStorage(other)
            for each in (master, standby):
                each.prepare()
            replication.arrange(client, replication.wanted(("a1", one), {"a2": two}))
            for serial in range(20, 30):
                master.write_configuration(named(serial, f"name{serial}"))
            deadline = time.monotonic() + 60
            while (other.get("/config_data/config_data", missing=True) or {"serial": 0})["serial"] < 29:
                assert time.monotonic() < deadline, "the head never came"
                time.sleep(0.02)
            assert standby.newest() == (named(29, "name29"), 0)
    finally:
        for each in servers:
            each.stop()
