# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose time it is: which claims are newer, and who was replaced."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import epochs
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim

from ..samples import configuration

NODES = {"u1": {"name": "a1"}, "u2": {"name": "a2"}}


@pytest.mark.parametrize(
    "found, replaced",
    [
        ([], False),
        ([(20, "u1"), (19, "u1")], False),
        ([(25, "u1")], False),  # our own, of before a restore
        ([(20, "u2"), (12, "u2")], False),  # what the master before us wrote
        ([(1020, "u2"), (20, "u1")], True),
    ],
)
def test_a_newer_configuration_of_another_master_replaces_this_one(found, replaced):
    here = {**configuration(20), "cluster": {"master_node": "u1"}, "nodes": NODES}
    words = epochs.usurped(here, [epochs.Claim(*each) for each in found])
    assert (words is not None) == replaced
    assert not replaced or "serial number 1020 of the master a2, the configuration here has 20" in words


def test_a_master_that_was_cut_off_is_replaced_however_long_it_went_on():
    old, new = ({**configuration(serial), "cluster": {"master_node": uuid}, "nodes": NODES} for serial, uuid in ((1_000_020, "u1"), (epochs.raised(20), "u2")))
    told = [epochs.Claim(each["serial_no"], each["cluster"]["master_node"]) for each in (old, new)]
    assert "this node was replaced" in epochs.usurped(old, told) and epochs.usurped(new, told) is None
    assert epochs.raised(epochs.raised(20)) == 2 * epochs.raised(20) < 2**53


def test_who_is_outdone_by_a_promotion_of_the_same_epoch_is_told_how_to_end_that():
    """It may have come to nothing, which nobody can tell from here (test_two_promotions.py)."""
    here = {**configuration(EPOCH + 60), "cluster": {"master_node": "u1"}, "nodes": NODES}
    words = epochs.usurped(here, [Claim(EPOCH, "u2")], Claim(EPOCH, "u1"))
    assert words.startswith("the databases hold serial number 10000000000 of the master a2, who began epoch 1 with the same number as this node, and of two ")
    assert "this node was replaced as the master. Where gnt-cluster getmaster says a2, have Ganeti stopped here" in words
    assert "If it says the name of this node on all nodes, a2's promotion came to nothing: run " in words
    assert words.endswith("/service.pyz --config /etc/ganeti/couchdb.json --reclaim here, and ganeti.cluster.backend_storage then, which begins an epoch")
    later = epochs.usurped(here, [Claim(EPOCH, "u2"), Claim(EPOCH + 70, "u2")], Claim(EPOCH, "u1"))
    assert "the configuration here has" in later and "getmaster" not in later


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Claim(21, "u1"), Claim(20, "u2")),
        (Claim(EPOCH, "u1"), Claim(1570, "u2")),
        (Claim(EPOCH, "u2"), Claim(EPOCH, "u1")),  # two promotions at once
        (Claim(2 * EPOCH, "u1"), Claim(EPOCH + 99, "u2")),
    ],
)
def test_of_two_claims_one_is_newer(one, other):
    assert epochs.newer([one], other) == [one] and epochs.newer([other], one) == []


@pytest.mark.parametrize("one", [Claim(20, "u1"), Claim(20, "u2"), Claim(19, "u2"), Claim(2 * EPOCH, "u1")])
def test_nobody_is_replaced_by_himself_or_by_who_began_before(one):
    """Nor by who has the same number where no epoch begins: that is what the master before has written."""
    assert epochs.newer([one], Claim(20, "u1")) == []


@pytest.mark.parametrize(
    ("found", "spent"),
    [
        ([], None),
        ([Claim(EPOCH + 9, "u1"), Claim(EPOCH + 7000, "u2"), Claim(3, "u2")], None),
        ([Claim(3 * EPOCH, "u2"), Claim(4 * EPOCH, "u1")], 4),
    ],
)
def test_an_epoch_is_spent_that_is_above_the_configurations(found, spent):
    assert getattr(epochs.spent(EPOCH + 5, found), "epoch", None) == spent


def test_a_master_goes_on_with_the_claim_that_it_has():
    assert epochs.kept(Claim(20, "u1"), Claim(500, "u1")) and epochs.kept(Claim(EPOCH, "u1"), Claim(20, "u1"))
    assert not epochs.kept(Claim(20, "u1"), Claim(500, "u1"), anew=True) and epochs.kept(Claim(EPOCH, "u1"), Claim(500, "u1"), anew=True)
    assert not epochs.kept(Claim(20, "u2"), Claim(20, "u1"), anew=True)
    assert not epochs.kept(Claim(20, "u1"), Claim(EPOCH, "u1")) and not epochs.kept(Claim(20, "u2"), Claim(20, "u1")) and not epochs.kept(None, Claim(1, "a"))
