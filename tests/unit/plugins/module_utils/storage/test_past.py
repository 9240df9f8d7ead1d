# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history of an object as people see it: what changed when, how it was, and never a secret."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage import documents, past
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import Revision

from .samples import DISK, INSTANCE, configuration

FOUND = [
    Revision("4-d", 30, None),
    Revision("3-c", 25, {"name": "one", "tags": ["prod"], "osparams_private": {"key": "moon"}}),
    Revision("2-b", 22, {"name": "one", "tags": ["prod"]}),
    Revision("1-a", 20, {"name": "one", "tags": []}),
]


def test_every_kind_of_object_has_its_database():
    assert set(past.KINDS.values()) == {documents.CONFIG, *documents.CONTAINERS}


def test_what_changed_with_each_revision():
    assert [(each["serial"], each["removed"], each["changed"]) for each in past.listing(FOUND)] == [
        (30, True, ["name", "osparams_private", "tags"]), (25, False, ["osparams_private"]), (22, False, ["tags"]), (20, False, ["name", "tags"]),
    ]  # fmt: skip


@pytest.mark.parametrize(("serial", "index"), [(19, None), (20, 3), (21, 3), (22, 2), (24, 2), (29, 1), (30, 0), (99, 0)])
def test_the_object_as_it_was(serial, index):
    assert past.at(FOUND, serial) == (None if index is None else FOUND[index].info)


def test_what_is_no_longer_known_is_told():
    with pytest.raises(InvalidInput, match="the oldest is of 22"):
        past.at(FOUND[:3], 21)


def test_secrets_are_hidden_wherever_they_are():
    shown = past.masked({"a": [{"osparams_private": {"key": "moon"}, "secret": "drbd"}], "cluster": {"osparams_private_cluster": {"os": {}}}, "secret": None})
    assert shown == {"a": [{"osparams_private": "not shown", "secret": "not shown"}], "cluster": {"osparams_private_cluster": "not shown"}, "secret": None}
    assert past.masked(None) is None


def test_two_states_are_compared():
    assert past.compare(FOUND[3].info, FOUND[2].info) == {"before": {"tags": []}, "after": {"tags": ["prod"]}}
    assert past.compare(None, {"name": "one"}) == {"before": {"name": None}, "after": {"name": "one"}}
    assert past.compare({"a": 1}, {"a": 1}) == {"before": {}, "after": {}}


@pytest.fixture
def settings_file(tmp_path, servers, couch):
    """The settings of a service of these databases."""
    server = servers[0]
    described = {"a1": {"url": server.url, "username": server.username, "password": server.password}}
    file = tmp_path / "couchdb.json"
    file.write_text(json.dumps({"name": "a1", "servers": described, "standbys": [], "prefix": couch.database("")}))
    file.chmod(0o600)
    return str(file)


def test_an_objects_history_out_of_a_database(settings_file, couch):
    for serial, size in ((20, 10), (21, 20)):
        couch.write_configuration(configuration(serial, disks={DISK: {"uuid": DISK, "size": size, "secret": "drbd"}}))
    options = {"kind": "instance", "name": "inst1.lab.example", "serial": None, "since": None, "settings_file": settings_file, "cluster_name": None}
    assert past.tell(options)["id"] == INSTANCE == past.tell({**options, "name": INSTANCE})["id"]
    told = past.tell({**options, "kind": "disk", "name": DISK, "serial": 20, "since": 20})
    assert told["object"] == {"uuid": DISK, "size": 10, "secret": "not shown"} and told["difference"]["after"] == {}
    assert past.tell({**options, "kind": "disk", "name": DISK, "since": 20})["difference"] == {"before": {"size": 10}, "after": {"size": 20}}
    assert [each["serial"] for each in past.tell({**options, "kind": "cluster", "name": None})["revisions"]] == [21, 20]
    with pytest.raises(InvalidInput, match="There is no instance inst2"):
        past.tell({**options, "name": "inst2"})


def test_two_of_one_name_are_told_apart_by_their_uuid(settings_file, couch):
    couch.write_configuration(configuration(20, networks={"n1": {"name": "lan"}, "n2": {"name": "lan"}}))
    options = {"kind": "network", "serial": None, "since": None, "settings_file": settings_file, "cluster_name": None}
    with pytest.raises(InvalidInput, match="There are 2 objects named lan"):
        past.tell({**options, "name": "lan"})
    assert past.tell({**options, "name": "n2"})["id"] == "n2"
