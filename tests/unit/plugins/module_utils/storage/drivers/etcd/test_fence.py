# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may claim and who may write: decisions alone."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import fence, wire

MINE = fence.Holder(3, "a1", "s1", 5)


def test_what_the_fence_holds_comes_back():
    assert fence.holder(wire.Kv("fence", MINE.encoded(), 1, 2, 3)) == MINE


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"5", b"null", b'{"epoch": 1}', b'{"epoch": "x", "owner": "a", "session": "s", "turn": 1}'])
def test_what_is_no_fence_holds_nobody(value):
    assert fence.holder(wire.Kv("fence", value, 1, 2, 3)) is None


def test_without_a_key_nobody_holds_it():
    assert fence.holder(None) is None


@pytest.mark.parametrize(
    ("epoch", "owner", "said"),
    [
        (4, "a1", None),
        (4, "a2", None),
        (3, "a1", None),
        (3, "a2", "epoch 3 is a1's already"),
        (2, "a1", "a1 holds epoch 3"),
        (2, "a2", "a1 holds epoch 3, and a2 wants 2"),
    ],
)
def test_a_claim_is_taken_for_a_higher_epoch_or_by_the_owner_of_the_same(epoch, owner, said):
    why = fence.refusal(MINE, epoch, owner)
    assert why is None if said is None else said in why


def test_the_first_claim_is_taken():
    assert fence.refusal(None, 0, "a1") is None


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (MINE._replace(epoch=4, owner="a2"), "a2 has claimed epoch 4"),
        (MINE._replace(epoch=4), "a1 has claimed epoch 4"),
        (MINE._replace(session="s2"), "another process of a1's"),
        (None, "nobody holds it any more"),
    ],
)
def test_why_a_write_was_refused_is_said(held, said):
    assert said in fence.lost(held, MINE) and fence.lost(held, MINE).endswith("Nothing was written")
