# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of an earlier run decides what this run does."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.move import tags
from ansible_collections.ganeti.cluster.plugins.module_utils.move.recovery import Action, Decision, decide

from .samples import MOVE, OTHER, instance

NAMES = ("web", "alpha", "web", "beta")
UUID = instance().uuid
FENCED = instance(admin_state="offline", tags=("prod", tags.source(MOVE, "up")))
COMMITTED = instance(tags=(tags.source(MOVE, "up"), tags.moved_to(MOVE, UUID)))
AFTER = instance(tags=("prod", tags.moved_to(MOVE, UUID)))
MADE = instance(tags=(tags.destination(MOVE),))
VERIFIED = instance(tags=(tags.destination(MOVE), tags.verified(MOVE)))
PLAIN = instance()


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        (PLAIN, None, Decision(Action.FRESH)),
        (PLAIN, PLAIN, Decision(Action.FRESH)),  # the preflight says that the name is taken
        (PLAIN, MADE, Decision(Action.UNDO, MOVE, False)),
        (FENCED, None, Decision(Action.UNDO, MOVE, True)),
        (FENCED, MADE, Decision(Action.UNDO, MOVE, True)),
        (FENCED, VERIFIED, Decision(Action.FINISH, MOVE, True)),
        (COMMITTED, VERIFIED, Decision(Action.FINISH, MOVE)),
        (COMMITTED, PLAIN, Decision(Action.FINISH, MOVE)),
        (AFTER, VERIFIED, Decision(Action.FINISH, MOVE)),
        (AFTER, PLAIN, Decision(Action.DONE, MOVE)),
        (None, VERIFIED, Decision(Action.FINISH, MOVE)),
        (None, PLAIN, Decision(Action.DONE)),
    ],
)
def test_decisions(source, destination, expected):
    assert decide(source, destination, NAMES) == expected


@pytest.mark.parametrize(
    ("source", "destination", "words"),
    [
        (None, None, "There is no instance web on alpha"),
        (None, MADE, "incomplete copy"),
        (AFTER, None, "was moved to another instance"),
        (AFTER, instance(uuid="another"), "was moved to another instance"),
        (FENCED, instance(tags=(tags.destination(OTHER),)), f"belongs to move {OTHER}"),
    ],
)
def test_what_cannot_be_decided_is_left_alone(source, destination, words):
    with pytest.raises(GanetiError, match=words):
        decide(source, destination, NAMES)


def test_tags_are_read_as_they_are_written():
    written = [tags.source(MOVE, "down"), tags.destination(MOVE), tags.verified(MOVE), tags.moved_to(MOVE, "ab-12")]
    read = tags.marks(written + ["ganeti-move:broken", "other"])
    assert {kind: (mark.move_id, mark.value) for kind, mark in read.items()} == {
        "source": (MOVE, "down"), "destination": (MOVE, None), "verified": (MOVE, None), "moved-to": (MOVE, "ab-12"),
    }  # fmt: skip
    assert tags.foreign(written + ["other"]) == ["other"]
    assert tags.own(written + ["other"]) == sorted(written)
