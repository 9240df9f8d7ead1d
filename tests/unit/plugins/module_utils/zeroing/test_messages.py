# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of a console that anybody may write to, only the helper's own lines count, and only with what they may hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.messages import Account, Message, parse

ID = "0123456789abcdef"
PLACE = {"disk": 0, "device": "vda1", "fs": "ext4"}


def line(event, identifier=ID, **members):
    return json.dumps({"zeroing": identifier, "event": event, **members})


@pytest.mark.parametrize(
    "said, meant",
    [
        (line("started", mode="discard", disks=1), Message("started")),
        (line("progress", **PLACE, percent=45, bytes=7), Message("progress", 0, "vda1", "ext4", percent=45, bytes=7)),
        (line("zeroed", **{**PLACE, "disk": None}, bytes=9), Message("zeroed", None, "vda1", "ext4", bytes=9)),
        (line("left", disk=1, device="vdb", fs="", why="nothing known on it"), Message("left", 1, "vdb", "", why="nothing known on it")),
        (line("finished", bytes=9, zeroed=1, left=0), Message("finished", bytes=9)),
        (line("interrupted"), Message("interrupted")),
    ],
)
def test_what_the_helper_says_is_understood(said, meant):
    assert parse(said, ID) == meant


@pytest.mark.parametrize(
    "said",
    [
        "", "[    1.234567] reboot: Power down", "{", "[]", "{}", "[" * 5000, "{" * 5000, '{"a":' * 2000,
        line("finished", identifier="fedcba9876543210", bytes=1),
        line("rm", bytes=1),
        line("progress", **PLACE, percent=101, bytes=0),
        line("progress", **PLACE, percent=True, bytes=0),
        line("progress", **PLACE, percent=1, bytes=-1),
        line("progress", **PLACE, percent=1),
        line("zeroed", **PLACE, bytes=1 << 61),
        line("zeroed", **PLACE, bytes=1.5),
        line("zeroed", **{**PLACE, "device": "x" * 201}, bytes=1),
        line("zeroed", **{**PLACE, "device": "vda\x1b[2J"}, bytes=1),
        line("left", **PLACE, why=None),
        json.dumps({"zeroing": ID, "event": ["left"]}),
        json.dumps({"zeroing": ID, "event": {}}),
    ],
)  # fmt: skip
def test_all_else_is_left_out(said):
    assert parse(said, ID) is None


@given(st.text())
def test_nothing_makes_it_stumble(said):
    assert parse(said, ID) is None
    assert parse("{" + said, ID) is None


def test_the_account_keeps_what_counts_and_no_more_than_a_thousand_places():
    account = Account()
    for number in range(1200):
        account.add(Message("progress", 0, f"vda{number}", "ext4", percent=1))
        account.add(Message("zeroed" if number % 2 else "left", 0, f"vda{number}", "ext4", why="" if number % 2 else "not clean"))
    account.add(Message("finished"))
    assert len(account.places) == 1000 and account.further == 200 and account.ended == "finished"
    assert account.listed()[:2] == [
        {"disk": 0, "device": "vda0", "filesystem": "ext4", "zeroed": False, "reason": "not clean"},
        {"disk": 0, "device": "vda1", "filesystem": "ext4", "zeroed": True, "reason": None},
    ]


def test_a_system_that_sleeps_is_the_word_that_stays():
    account = Account()
    for event in ("asleep", "finished"):
        account.add(Message(event))
    assert account.ended == "asleep"
