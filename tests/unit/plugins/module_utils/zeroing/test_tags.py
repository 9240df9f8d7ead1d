# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tags of a zeroing: what was written is what is read."""

from __future__ import annotations

import re

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move import tags as moves
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import tags
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.tags import Before, Claim

ID = "0123456789abcdef"
BEFORE = Before("discard", "allocated", 3366223872)


def test_what_was_written_is_read():
    assert tags.claims([tags.was(ID, "up"), tags.ready(ID), "theirs"]) == [Claim(ID, "up", True)]
    assert tags.claims([tags.was(ID, "down"), tags.before(ID, BEFORE)]) == [Claim(ID, "down", False, BEFORE)]
    assert tags.claims(["theirs", "ganeti-zeroing:x:ready"]) == []
    assert len(tags.claims([tags.ready(ID), tags.ready(ID[::-1])])) == 2


def test_ganeti_takes_them():
    for tag in (tags.was(ID, "up"), tags.ready(ID), tags.before(ID, BEFORE._replace(total=(1 << 60)))):
        assert re.fullmatch(r"[\w.+*/:@-]{1,128}", tag)


@pytest.mark.parametrize(
    "claim, ticket",
    [(Claim(ID, "up", True), tags.ready(ID)), (Claim(ID, "up", False, BEFORE), tags.before(ID, BEFORE)), (Claim(ID, "up"), None)],
)
def test_each_start_takes_a_tag_away(claim, ticket):
    assert tags.ticket(claim) == ticket


def test_those_of_moves_are_others():
    assert tags.MOVES == moves.PREFIX
    assert tags.own([moves.ready(ID), tags.ready(ID)]) == [tags.ready(ID)]
