# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two that begin an epoch at once: who has won is the master, whatever either has written since."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import begun_epoch, mastership
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings

from ..samples import cluster
from ..servers import options


@pytest.fixture
def chosen(servers, prefix, couch, tmp_path):
    """The settings of two nodes that have begun the same epoch as its master, and of which each has written for a while."""
    made = {}
    for name, written in (("a1", 9), ("a2", 3)):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "ssconf_master_node").write_text(f"{name}\n")
        configuration = cluster(EPOCH + written)
        configuration["cluster"]["master_node"] = f"u{name[1:]}"
        (directory / "config.data").write_text(json.dumps(configuration))
        begun_epoch.note(str(directory), Claim(EPOCH, f"u{name[1:]}"))
        made[name] = Settings(name, options(prefix, a1=servers[0], a2=servers[1]), str(directory), str(tmp_path / f"{name}.json"), 3)
    with made["a2"].open() as storage:
        storage.prepare()
    return made


@pytest.mark.parametrize("order", list(itertools.permutations(["a1", "a2", "a1"])))
def test_who_has_won_is_the_master_whoever_looks_first_and_again(chosen, order):
    """The loser may look at a moment at which it has claimed nothing any more, as the winner has claimed its server."""
    found = {}
    for name in (*order, "a2", "a1"):
        with chosen[name].open() as storage:
            found[name] = mastership.begin(chosen[name], storage)
            if found[name] == Claim(EPOCH, "u2"):
                storage.copies.tend(frozenset)
    assert found["a2"] == Claim(EPOCH, "u2")
    assert found["a1"].state == "replaced" and "of the master a2" in found["a1"].problem


def test_where_ganetis_own_failover_was_between_the_configurations_number_counts(tmp_path):
    """It begins no epoch. Of those of other epochs none matters, and no note of another epoch or another master does."""
    mine, configuration = Claim(EPOCH, "u1"), cluster(EPOCH + 9)
    assert begun_epoch.claim_of(str(tmp_path), configuration, []) == Claim(EPOCH + 9, "u1")
    begun_epoch.note(str(tmp_path), mine)
    for found in ([], [mine], [Claim(20, "u2")], [Claim(EPOCH, "u2")], [Claim(2 * EPOCH, "u2")]):
        assert begun_epoch.claim_of(str(tmp_path), configuration, found) == mine
    assert begun_epoch.claim_of(str(tmp_path), configuration, [mine, Claim(EPOCH + 5, "u2")]) == Claim(EPOCH + 9, "u1")
    assert begun_epoch.claim_of(str(tmp_path), cluster(2 * EPOCH), []) == Claim(2 * EPOCH, "u1")
    begun_epoch.note(str(tmp_path), Claim(EPOCH, "u2"))
    assert begun_epoch.claim_of(str(tmp_path), configuration, []) == Claim(EPOCH + 9, "u1")


def go_on(chosen, name, master, serial):
    """Ganeti's own failover, and what it has every node and every candidate know: a configuration with this number, and who is the master."""
    files = DiskStorage(chosen[name].directory)
    configuration = cluster(serial)
    configuration["cluster"]["master_node"] = f"u{master[1:]}"
    files.write_configuration(configuration)
    files.write_ssconf({"master_node": f"{master}\n"})


def look(chosen, name):
    """What a service finds at its look, which tends the standbys where it is the master's."""
    with chosen[name].open() as storage:
        found = mastership.begin(chosen[name], storage)
        return found, storage.copies.tend(frozenset) if isinstance(found, Claim) else None


def test_who_has_lost_and_is_made_the_master_later_does_not_claim_with_the_old_number(chosen):
    """By Ganeti's own failover, in the epoch that both had begun. The number of the beginning would be outdone for good by who had won."""
    assert look(chosen, "a2") == (Claim(EPOCH, "u2"), None)
    go_on(chosen, "a1", "a2", EPOCH + 59)
    assert look(chosen, "a1")[0].state == "resting"
    go_on(chosen, "a1", "a1", EPOCH + 60)
    go_on(chosen, "a2", "a1", EPOCH + 60)
    assert look(chosen, "a1") == (Claim(EPOCH + 60, "u1"), None)
    go_on(chosen, "a1", "a1", EPOCH + 90)
    assert look(chosen, "a1") == (Claim(EPOCH + 60, "u1"), None), "it is not raised with each start"
    assert look(chosen, "a2")[0].state == "resting"


def test_a_death_after_the_claim_and_before_the_note_is_forgotten_does_no_harm(chosen, monkeypatch):
    """The claim is raised once more then; and half of the forgetting is as good as all of it."""
    assert look(chosen, "a2") == (Claim(EPOCH, "u2"), None)
    go_on(chosen, "a1", "a2", EPOCH + 59)
    assert look(chosen, "a1")[0].state == "resting"
    go_on(chosen, "a1", "a1", EPOCH + 60)
    go_on(chosen, "a2", "a1", EPOCH + 60)

    class Killed(BaseException):
        pass

    def die(_directory):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(begun_epoch, "forget", die)
        look(chosen, "a1")
    go_on(chosen, "a1", "a1", EPOCH + 70)
    directory = Path(chosen["a1"].directory)
    kept = (directory / "epoch-over").read_text()
    assert look(chosen, "a1") == (Claim(EPOCH + 70, "u1"), None) and not (directory / "epoch-begun").exists()
    (directory / "epoch-over").write_text(kept)  # as a death between the two removals leaves it
    go_on(chosen, "a1", "a1", EPOCH + 80)
    assert look(chosen, "a1") == (Claim(EPOCH + 70, "u1"), None), "it is not raised with each start"


def test_a_note_that_cannot_be_removed_is_told(tmp_path):
    (tmp_path / "epoch-begun").mkdir()
    with pytest.raises(StorageFailed, match="Cannot remove .*epoch-begun"):
        begun_epoch.forget(str(tmp_path))


def test_a_claim_of_before_another_master_is_raised_where_that_one_did_not_reach_the_server(chosen, prefix, servers):
    """Else the master would take itself for replaced as soon as the server is seen on which the one in between had its claim."""
    away = type(servers[0])("http://127.0.0.1:9", "ganeti", "secret")
    seen = {"a1": {"a1": servers[0], "a2": away}, "a2": {"a1": away, "a2": servers[1]}}
    alone = {name: chosen[name]._replace(options=options(prefix, **each)) for name, each in seen.items()}
    assert look(alone, "a1")[0] == Claim(EPOCH, "u1")
    begun_epoch.forget(alone["a2"].directory)
    go_on(chosen, "a2", "a2", EPOCH + 51)
    assert look(alone, "a2")[0] == Claim(EPOCH + 51, "u2")
    go_on(chosen, "a1", "a2", EPOCH + 70)
    assert look(alone, "a1")[0].state == "resting"
    go_on(chosen, "a1", "a1", EPOCH + 81)
    assert look(alone, "a1")[0] == Claim(EPOCH + 81, "u1")
    assert look(chosen, "a1") == (Claim(EPOCH + 81, "u1"), None)


@pytest.mark.parametrize(
    ("serial", "master", "counts"),
    [
        (20, "u2", True),  # its files are not written yet
        (EPOCH, "u2", True),  # they are, and Ganeti's failover is to come
        (EPOCH + 1, "u1", True),
        (EPOCH + 1, "u2", False),
        (2 * EPOCH + 1, "u2", False),
    ],
)
def test_a_note_counts_until_the_files_are_those_of_another_master_who_went_on(tmp_path, serial, master, counts):
    directory, mine = str(tmp_path), Claim(EPOCH, "u1")
    begun_epoch.note(directory, mine)
    begun_epoch.look(directory)
    assert begun_epoch.claim_of(directory, cluster(EPOCH + 9), []) == mine, "a node without files knows of nothing"
    configuration = cluster(serial)
    configuration["cluster"]["master_node"] = master
    DiskStorage(directory).write_configuration(configuration)
    begun_epoch.look(directory)
    assert begun_epoch.is_over(directory) == (not counts)
    assert begun_epoch.claim_of(directory, cluster(EPOCH + 9), []) == (mine if counts else Claim(EPOCH + 9, "u1"))
    begun_epoch.note(directory, Claim(3 * EPOCH, "u1"))
    assert not begun_epoch.is_over(directory), "another one was begun since"


def test_a_damaged_note_is_named(tmp_path):
    (tmp_path / "epoch-begun").write_text("{}")
    with pytest.raises(StorageFailed, match="epoch-begun is damaged"):
        begun_epoch.claim_of(str(tmp_path), cluster(), [])
