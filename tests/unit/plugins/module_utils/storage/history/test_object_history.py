# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history of an object as people see it: what changed when, how it was, and never a secret."""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import revisions
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Revision
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import object_history, rollback

from ..samples import DISK, INSTANCE, configuration

FOUND = [
    Revision("4-d", 4, 30, None),
    Revision("3-c", 3, 25, {"name": "one", "tags": ["prod"], "osparams_private": {"key": "moon"}}),
    Revision("2-b", 2, 22, {"name": "one", "tags": ["prod"]}),
    Revision("1-a", 1, 20, {"name": "one", "tags": []}),
]


def test_every_kind_of_object_has_its_database():
    assert set(object_history.KINDS.values()) == {documents.CONFIG, *documents.CONTAINERS}


def test_what_changed_with_each_revision():
    assert [(each["serial"], each["removed"], each["changed"]) for each in object_history.listing(FOUND)] == [
        (30, True, ["name", "osparams_private", "tags"]), (25, False, ["osparams_private"]), (22, False, ["tags"]), (20, False, ["name", "tags"]),
    ]  # fmt: skip


@pytest.mark.parametrize(("serial", "index"), [(19, None), (20, 3), (21, 3), (22, 2), (24, 2), (29, 1), (30, 0), (99, 0)])
def test_the_object_as_it_was(serial, index):
    assert object_history.at(FOUND, serial) == (None if index is None else FOUND[index].info)


def test_what_is_no_longer_known_is_told():
    with pytest.raises(InvalidInput, match="the oldest revision that this server has is of 22"):
        object_history.at(FOUND[:3], 21)


GAPS = [Revision("7-d", 7, 30, {"name": "four"}), Revision("4-c", 4, 25, {"name": "three"}), Revision("3-b", 3, 22, {"name": "two"})]


@pytest.mark.parametrize(("serial", "name"), [(22, "two"), (24, "two"), (25, "three"), (30, "four"), (99, "four")])
def test_beside_a_gap_it_is_known(serial, name):
    assert object_history.at(GAPS, serial) == {"name": name}


@pytest.mark.parametrize(
    ("serial", "words"),
    [
        (26, "changed 2 times between serial numbers 25 and 30, and what it was in between is not there. Name 25 or less, or 30 or more"),
        (29, "Nobody knows how the object was at serial number 29"),
        (21, "the oldest revision that this server has is of 22, and there were others before it. Name 22 or more"),
    ],
)
def test_in_a_gap_nobody_knows(serial, words):
    with pytest.raises(InvalidInput, match=words):
        object_history.at(GAPS, serial)


def test_gaps_are_listed():
    assert [each["missing"] for each in object_history.listing(GAPS)] == [2, 0, 2]
    assert [each["missing"] for each in object_history.listing(FOUND)] == [0, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=8), st.data())
def test_whatever_is_missing_history_tells_the_truth_or_nothing(steps, data):
    """Each revision is of a serial number some further, and there or not; the newest one always is."""
    serials = list(itertools.accumulate([10, *(step for step, _there in steps)]))[1:]
    every = [Revision(f"{number}-x", number, serial, {"n": number}) for number, serial in enumerate(serials, 1)][::-1]
    there = [each for each, (_step, kept) in zip(every[1:], steps) if kept]
    serial = data.draw(st.integers(9, serials[-1] + 2))
    truth = next((each.info for each in every if each.serial <= serial), None)
    assert object_history.at(every, serial) == truth, "where nothing is missing all is known"
    with contextlib.suppress(InvalidInput):
        assert object_history.at([every[0], *there], serial) == truth


def test_two_states_are_compared():
    assert object_history.compare(FOUND[3].info, FOUND[2].info) == {"before": {"tags": []}, "after": {"tags": ["prod"]}}
    assert object_history.compare(None, {"name": "one"}) == {"before": {"name": None}, "after": {"name": "one"}}
    assert object_history.compare({"a": 1}, {"a": 1}) == {"before": {}, "after": {}}


@pytest.fixture
def settings_file(tmp_path, servers, couch):
    """The settings of a service of these databases."""
    server = servers[0]
    described = {"a1": {"url": server.url, "username": server.username, "password": server.password}}
    file = tmp_path / "couchdb.json"
    file.write_text(json.dumps({"name": "a1", "servers": described, "prefix": couch.database("")}))
    file.chmod(0o600)
    return str(file)


def test_an_objects_history_out_of_a_database(settings_file, couch):
    for serial, size in ((20, 10), (21, 20)):
        couch.write_configuration(configuration(serial, disks={DISK: {"uuid": DISK, "size": size, "secret": "drbd"}}))
    options = {"kind": "instance", "name": "inst1.lab.example", "serial": None, "since": None, "settings_file": settings_file, "cluster_name": None}
    assert object_history.tell(options)["id"] == INSTANCE == object_history.tell({**options, "name": INSTANCE})["id"]
    told = object_history.tell({**options, "kind": "disk", "name": DISK, "serial": 20, "since": 20})
    assert told["object"] == {"uuid": DISK, "size": 10, "secret": "not shown"} and told["difference"]["after"] == {}
    assert object_history.tell({**options, "kind": "disk", "name": DISK, "since": 20})["difference"] == {"before": {"size": 10}, "after": {"size": 20}}
    assert [each["serial"] for each in object_history.tell({**options, "kind": "cluster", "name": None})["revisions"]] == [21, 20]
    with pytest.raises(InvalidInput, match="There is no instance inst2"):
        object_history.tell({**options, "name": "inst2"})


def replicated(servers, couch, *serials):
    """Carry an instance to a standby each time that it was changed at one of the serial numbers, as a replication does that looks no oftener."""
    database = couch.database("instances")
    with Client(servers[0]) as client, Client(servers[1]) as standby:
        standby.put(path(database), None)
        for serial in range(20, 25):
            couch.write_configuration(configuration(serial, instances={INSTANCE: {"name": "inst1", "beparams": {"vcpus": serial}}}))
            if serial in serials:
                document = client.get(path(database, INSTANCE, revs=True))
                standby.post(path(database, "_bulk_docs"), {"docs": [document], "new_edits": False})


def test_what_a_promoted_standby_was_never_brought_is_not_made_up(servers, couch):
    replicated(servers, couch, 20, 21, 24)
    with Client(servers[1]) as standby:
        found = list(revisions.revisions(standby, couch.database("instances"), INSTANCE))
    assert [(each["serial"], each["missing"]) for each in object_history.listing(found)] == [(24, 2), (21, 0), (20, 0)]
    assert [object_history.at(found, serial)["beparams"]["vcpus"] for serial in (20, 21, 24)] == [20, 21, 24]
    for serial in (22, 23):
        with pytest.raises(InvalidInput, match=f"Nobody knows how the object was at serial number {serial}"):
            object_history.at(found, serial)


def test_nothing_is_brought_back_out_of_a_gap(settings_file, servers, couch, monkeypatch):
    """Before anything else is asked or read, and whatever parts are named."""
    replicated(servers, couch, 20, 21, 24)
    values = json.loads(pathlib.Path(settings_file).read_text())
    values["servers"]["a1"].update(url=servers[1].url, username=servers[1].username, password=servers[1].password)
    pathlib.Path(settings_file).write_text(json.dumps(values))
    monkeypatch.setattr(rollback, "DiskStorage", None)
    params = {"kind": "instance", "name": INSTANCE, "serial": 23, "cluster_name": None, "settings_file": settings_file, "parts": ["beparams"], "direct": True}
    with pytest.raises(InvalidInput, match="changed 2 times between serial numbers 21 and 24"):
        rollback.roll_back(params, check_mode=False)


def test_what_settling_removed_never_was_there(servers, couch):
    """It can be read, and is of no serial number."""
    database = couch.database("instances")
    with Client(servers[0]) as client:
        client.post(path(database, "_bulk_docs"), {"docs": [{"_id": "lost", "serial": 21, "info": {"name": "lost"}}]})
        client.post(path(database, "_bulk_docs"), {"docs": [{"_id": "lost", "_rev": client.get(path(database, "lost"))["_rev"], "_deleted": True}]})
        found = list(revisions.revisions(client, database, "lost"))
    assert [(each.serial, each.info) for each in found] == [(21, None), (21, {"name": "lost"})]
    assert object_history.at(found, 21) is None and object_history.at(found, 30) is None and object_history.at(found, 20) is None


def test_a_drbd_disk_is_shown_without_its_secret(settings_file, couch):
    for serial, secret in ((20, "5ec2e7"), (21, "c0ffee")):
        couch.write_configuration(configuration(serial, disks={DISK: {"uuid": DISK, "dev_type": "drbd", "logical_id": ["n1", "n2", 11000, 0, 0, secret]}}))
    options = {"kind": "disk", "name": DISK, "serial": 21, "since": 20, "settings_file": settings_file, "cluster_name": None}
    told = json.dumps(object_history.tell(options))
    assert "5ec2e7" not in told and "c0ffee" not in told and "11000" in told


def test_two_of_one_name_are_told_apart_by_their_uuid(settings_file, couch):
    couch.write_configuration(configuration(20, networks={"n1": {"name": "lan"}, "n2": {"name": "lan"}}))
    options = {"kind": "network", "serial": None, "since": None, "settings_file": settings_file, "cluster_name": None}
    with pytest.raises(InvalidInput, match="There are 2 objects named lan"):
        object_history.tell({**options, "name": "lan"})
    assert object_history.tell({**options, "name": "n2"})["id"] == "n2"
