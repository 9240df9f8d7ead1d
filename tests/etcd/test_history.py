# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How objects were: as long as etcd keeps it, and what it does not keep any more is known to be missing."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import changes, revisions
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import object_history

from .samples import configuration, name
from .test_deaths import Death
from .test_deaths import write as write_and_die

INSTANCE = name(100)


def past(storage, container="instances", identity=INSTANCE):
    """Serial numbers, marks and gaps of an object's revisions."""
    found = list(storage.history.revisions(container, identity))
    gaps = [object_history.missing(each, older) for each, older in zip(found, [*found[1:], None])]
    return [(each.serial, None if each.info is None else each.info.get("mark"), gap) for each, gap in zip(found, gaps)]


def write(storage, serial, mark, count=3):
    storage.write_configuration(configuration(serial, count, mark=mark))


def compact(client):
    """Have etcd forget all that is not as it is now."""
    revision = client.range("x").revision
    client.ask("/v3/kv/compaction", {"revision": str(revision), "physical": True})
    return revision


def test_each_revision_of_an_object_is_there_the_newest_first(storage):
    for serial, mark in ((20, "a"), (21, "a"), (22, "b"), (23, "c")):
        write(storage, serial, mark)
    assert past(storage) == [(23, "c", 0), (22, "b", 0), (20, "a", 0)]
    found = list(storage.history.revisions("config_data", "config_data"))
    assert [each.serial for each in found] == [23, 22, 21, 20]
    assert found[0].info["cluster"]["mark"] == "c" and "instances" not in found[0].info


def test_an_object_that_was_removed_and_made_again_has_both_its_lives(storage):
    write(storage, 20, "a")
    write(storage, 21, "b")
    write(storage, 22, "b", count=0)
    assert past(storage) == [(22, None, 0), (21, "b", 0), (20, "a", 0)]
    write(storage, 23, "c")
    write(storage, 24, "c", count=0)
    write(storage, 25, "d")
    assert past(storage) == [(25, "d", 0), (24, None, 0), (23, "c", 0), (22, None, 0), (21, "b", 0), (20, "a", 0)]


def test_objects_are_found_by_name_and_by_id(storage):
    write(storage, 20, "a")
    assert storage.history.named("instances", "inst101.lab.example") == storage.history.named("instances", name(101)) == [name(101)]
    assert storage.history.named("instances", "nobody") == [] and storage.history.named("config_data", "config_data") == ["config_data"]


def test_what_never_was_has_no_history(storage):
    write(storage, 20, "a")
    assert past(storage, identity=name(999)) == []


def test_compacted_revisions_are_counted_and_not_guessed(storage, client):
    for serial in range(20, 25):
        write(storage, serial, serial)
    compact(client)
    write(storage, 30, 30)
    assert past(storage) == [(30, 30, 0), (24, 24, 4)]
    assert past(storage, "config_data", "config_data")[1][2] == 4


def test_a_life_that_was_compacted_counts_as_missing(storage, client):
    write(storage, 20, "a")
    write(storage, 21, "a", count=0)
    compact(client)
    assert past(storage) == [(21, None, 1)]
    write(storage, 22, "b")
    assert past(storage) == [(22, "b", 0), (21, None, 1)]
    compact(client)
    assert past(storage) == [(22, "b", 1)]


def test_the_oldest_revision_that_is_kept_is_known(storage, client):
    write(storage, 20, "a")
    revision = compact(client)
    write(storage, 21, "b")
    assert revisions.oldest(client, storage._root) == revision


def test_a_large_change_and_one_that_was_ended_by_somebody_else_are_one_revision(etcd, open_storage_anew, monkeypatch):
    monkeypatch.setattr(changes, "OPERATIONS", 4)
    storage = open_storage_anew()
    write(storage, 20, "a", count=12)
    write(storage, 21, "b", count=12)
    assert past(storage) == [(21, "b", 0), (20, "a", 0)]
    for left in range(3, 9):
        with pytest.raises(Death):
            write_and_die(etcd, storage._root.split("/")[1], left, f"a{left}", configuration(20 + left, 12, mark=left), left, True)
        committed = storage.configuration()["cluster"]["mark"]
        assert past(storage)[0][1] == committed, "what is committed and not folded is part of the history"
    serials = [serial for serial, _mark, missing in past(storage) if not missing]
    assert serials == sorted(set(serials), reverse=True)
