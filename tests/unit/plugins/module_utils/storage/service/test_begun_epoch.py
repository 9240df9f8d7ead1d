# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two that begin an epoch at once: who has won is the master, whatever either has written since."""

from __future__ import annotations

import itertools
import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
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


def test_a_damaged_note_is_named(tmp_path):
    (tmp_path / "epoch-begun").write_text("{}")
    with pytest.raises(StorageFailed, match="epoch-begun is damaged"):
        begun_epoch.claim_of(str(tmp_path), cluster(), [])
