# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every pair and every group of small standings: who is ahead, and that there is always somebody of whom nobody is."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.standing import Standing, is_ahead, more, of_files

STATES = (None, (1, 0), (2, 1))
QUEUES = [None, *({number: each for number, each in enumerate(chosen, 7) if each} for chosen in itertools.product(STATES, repeat=2))]
EVERY = [Standing(serial, job, queue) for serial in (20, 21) for job in (None, 7, 8) for queue in QUEUES]


def test_nobody_is_ahead_of_himself_and_of_two_one_at_most():
    for one, other in itertools.product(EVERY, repeat=2):
        assert not (is_ahead(one, other) and is_ahead(other, one))
        if is_ahead(one, other):
            assert more(one, other, "a2"), "the message says what"
        if one.serial == other.serial and None in (one.job, other.job):
            assert not is_ahead(one, other), "2: by what is not known nobody is ahead"
        if one.serial > other.serial or (one.serial == other.serial and None not in (one.job, other.job) and one.job > other.job):
            assert is_ahead(one, other), "1: the first things come first"


def test_there_is_no_way_round_so_of_any_group_somebody_is_not_refused():
    left = set(range(len(EVERY)))
    behind = {number: {each for each in left if is_ahead(EVERY[each], EVERY[number])} for number in left}
    while left:
        first = {number for number in left if not behind[number] & left}
        assert first, [EVERY[number] for number in left]
        left -= first


@pytest.mark.parametrize(
    ("there", "here", "ahead", "words"),
    [
        (Standing(21, 7), Standing(20, 7), True, ["serial number 21, a2 only 20: 1 changes would be lost"]),
        (Standing(EPOCH, 7), Standing(20, 7), True, [f"serial number {EPOCH}, a2 only 20: all changes since another node became the master would be lost"]),
        (Standing(20, 9), Standing(20, 7), True, ["jobs up to 9, a2 only up to 7: 2 would be lost"]),
        (Standing(20, 9), Standing(21, 7), False, ["jobs up to 9, a2 only up to 7: 2 would be lost"]),
        (Standing(20, 9), Standing(20), False, []),
        (Standing(20, 7, {7: (2,)}), Standing(20, 7, {7: (1,)}), True, ["job 7 in a later state than a2: that would be lost"]),
        (Standing(20, 7, {7: (2,), 6: (1,)}), Standing(20, 7, {7: (1,), 6: (2,)}), False, ["job 7 in a later state than a2: that would be lost"]),
        (Standing(20, 7, {7: (2,)}), Standing(20, 7), False, []),
        (Standing(20, 9, {number: (2,) for number in range(1, 10)}), Standing(20, 7, {}), True,
         ["jobs up to 9, a2 only up to 7: 2 would be lost", "job 1, 2, 3, 4, 5 and 2 more in a later state than a2: that would be lost"]),
    ],
)  # fmt: skip
def test_what_there_is_more(there, here, ahead, words):
    assert is_ahead(there, here) == ahead and more(there, here, "a2") == words


def test_a_job_that_is_archived_is_further_than_any_that_is_not():
    told = {"serial": 20, "job": 7, "queue": {"7": {"progress": [3, 1, 1]}}, "archived": []}
    archived = {**told, "queue": {}, "archived": [[6, 7]]}
    assert is_ahead(of_files(archived), of_files(told)) and of_files(told) == Standing(20, 7, {7: (3, 1, 1)})
