# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may claim and who may write: decisions alone."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import fence, wire

MINE = fence.Holder(Claim(3 * EPOCH, "a1"), "s1", 5)


def test_what_the_fence_holds_comes_back():
    assert fence.holder(wire.Kv("fence", MINE.encoded(), 1, 2, 3)) == MINE


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"5", b"null", b'{"serial": 1}', b'{"serial": "x", "master": "a", "session": "s", "turn": 1}'])
def test_what_is_no_fence_holds_nobody(value):
    assert fence.holder(wire.Kv("fence", value, 1, 2, 3)) is None


def test_without_a_key_nobody_holds_it():
    assert fence.holder(None) is None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Claim(4 * EPOCH, "a1"), None),
        (Claim(4 * EPOCH, "a2"), None),
        (Claim(3 * EPOCH, "a1"), None),
        (Claim(3 * EPOCH + 1, "a2"), None),
        (Claim(3 * EPOCH, "a0"), "a1 has begun epoch 3 already"),
        (Claim(3 * EPOCH, "a2"), "a1 has begun epoch 3 already"),
        (Claim(2 * EPOCH, "a2"), "a1 is the master since serial number 30000000000, and a2 is since 20000000000"),
    ],
)
def test_a_claim_is_taken_where_it_is_newer_or_of_the_same_master(wanted, said):
    why = fence.refusal(MINE.claim, wanted)
    assert why is None if said is None else said in why


def test_the_first_claim_is_taken():
    assert fence.refusal(None, Claim(0, "a1")) is None


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (MINE._replace(claim=Claim(4 * EPOCH, "a2")), "a2 is the master since serial number 40000000000, and the claim here is a1's since 30000000000"),
        (None, "nobody holds it any more"),
    ],
)
def test_why_a_write_was_refused_is_said(held, said):
    assert said in fence.lost(held, MINE) and fence.lost(held, MINE).endswith("Nothing was written")
