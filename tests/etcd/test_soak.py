# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A handful of the soak's rounds, with three members of an etcd. `make soak-storage` draws more, for longer."""

from __future__ import annotations

import time

import pytest
from soak.databases import EtcdDatabases
from soak.faults import lose
from soak.rounds import Chosen, play

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import members

NAMES = ("a1", "a2", "a3")
BOUND = 30.0
"""Seconds in which members agree on one that leads, on a machine that is busy."""
ROUNDS = {
    "two are promoted at once": Chosen("the server stopped", "on two standbys at once", "stopped"),
    "the promotion is killed, and the old master is dead": Chosen("answers of others held", "killed, and again", "dead"),
    "its machine is cut off from all others, and clocks jump": Chosen(
        "each member cut off from all", "on two standbys at once", "cut off, with its member", "all jump by hours, to and fro"
    ),
    "a member is cut off until there is another master": Chosen(
        "its member cut off until there is another master", "smoothly", "alive", "the new master's hours back"
    ),
}


@pytest.mark.parametrize("chosen", ROUNDS.values(), ids=ROUNDS.keys())
def test_nothing_is_lost_whatever_goes_wrong(tmp_path, chosen):
    counts = play(tmp_path, "etcd", chosen)
    assert counts["faults"] == {chosen.fault: 1} and counts["jobs"]["seen before a promotion"] > 0
    assert counts["old masters"] == {chosen.lost: 1} and chosen.clocks in (None, *counts["clocks"])


def led_by(storage):
    """By whom each member says that it is led: the names of both."""
    said = list(members.look(storage._client).values())
    names = {each["header"]["member_id"]: name for name, each in zip(NAMES, said)}
    return {name: names.get(each.get("leader")) for name, each in zip(NAMES, said)}


def wait(condition):
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.2)


def test_what_members_say_to_each_other_is_lost_as_it_is_asked_for(tmp_path):
    databases = EtcdDatabases({name: tmp_path / name / "server" for name in NAMES})
    try:
        with databases.storage("a1") as storage:
            leads = led_by(storage)["a1"]
            end = lose(databases.between, lambda one, _other: one == leads)  # it hears the others, which do not hear it
            wait(lambda: {led for name, led in led_by(storage).items() if name != leads} & set(NAMES) - {leads})
            end()
            wait(lambda: len(set(led_by(storage).values())) == 1)
            end = lose(databases.between, lambda _one, _other: True)
            with pytest.raises(ConnectionFailed, match="see whether a majority of the members runs"):
                storage.queue()
            end()
            wait(lambda: len(set(led_by(storage).values()) & set(NAMES)) == 1)
            assert not storage.queue().jobs
    finally:
        databases.close()
