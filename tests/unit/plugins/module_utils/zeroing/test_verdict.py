# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts is what the node counts."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import verdict
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.verdict import ALLOCATED, AUTO, DATA, DISCARD, WRITE, Count, Verdict

FILE = Count(1000, 600, None)
DEVICE = Count(1000, None, None)
READ = Count(1000, 600, 400)


def test_the_limit_of_time_is_ganetis():
    assert verdict.time_limit([1024, 2048], verdict.FIXED, verdict.PER_MIB) == pytest.approx(300 + 3072 * 0.05)
    assert verdict.time_limit([], 10, 1) == 10


@pytest.mark.parametrize(
    "wanted, counts, method",
    [
        (AUTO, [FILE, FILE], DISCARD), (AUTO, [FILE, DEVICE], WRITE), (AUTO, [DEVICE], WRITE),
        (WRITE, [FILE], WRITE), (DISCARD, [DEVICE], DISCARD),
    ],
)  # fmt: skip
def test_blocks_are_discarded_where_the_node_can_tell(wanted, counts, method):
    assert verdict.first_method(wanted, counts) == method


@pytest.mark.parametrize("method, counts, measure", [(DISCARD, [FILE], ALLOCATED), (DISCARD, [FILE, DEVICE], DATA), (WRITE, [FILE], DATA)])
def test_zeros_that_were_written_are_not_counted_by_blocks(method, counts, measure):
    assert verdict.measure(method, counts) == measure


def test_totals():
    assert verdict.total([READ, READ], ALLOCATED) == 1200 and verdict.total([READ, READ], DATA) == 800
    assert verdict.is_empty([Count(1000, 0, None)]) and not verdict.is_empty([FILE]) and not verdict.is_empty([DEVICE])


GIB = 1 << 30


@pytest.mark.parametrize(
    "wanted, method, said, found, ignored",
    [
        (AUTO, DISCARD, 3 * GIB, Verdict(ALLOCATED, 3 * GIB, 3 * GIB), True),  # they are still there
        (AUTO, DISCARD, 3 * GIB, Verdict(ALLOCATED, 3 * GIB, 3 * GIB + 4096), True),
        (AUTO, DISCARD, 3 * GIB, Verdict(ALLOCATED, 3 * GIB, GIB), False),  # they were given back
        (AUTO, DISCARD, 3 * GIB, Verdict(ALLOCATED, GIB, GIB), False),  # they were holes before
        (AUTO, DISCARD, 3 * GIB, Verdict(ALLOCATED, GIB, GIB + (8 << 20)), False),
        (AUTO, DISCARD, 0, Verdict(ALLOCATED, 3 * GIB, 3 * GIB), False),
        (AUTO, WRITE, 3 * GIB, Verdict(DATA, 3 * GIB, 3 * GIB), False),
        (DISCARD, DISCARD, 3 * GIB, Verdict(ALLOCATED, 3 * GIB, 3 * GIB), False),
    ],
)
def test_zeros_are_written_where_discards_were_ignored(wanted, method, said, found, ignored):
    assert verdict.is_ignored(wanted, method, said, 4 * GIB, found) == ignored


@pytest.mark.parametrize(
    "found, method, ended, words",
    [
        (Verdict(ALLOCATED, 600, 100), DISCARD, "finished", "The disks take 500 bytes less, by discarding."),
        (Verdict(DATA, 600, 100), WRITE, "finished", "The disks hold 500 bytes less, by writing zeros."),
        (Verdict(DATA, 600, 600), WRITE, "finished", "The disks hold no less than before"),
        (Verdict(ALLOCATED, 600, 600), DISCARD, "asleep", "put to sleep"),
    ],
)
def test_it_is_said_in_words(found, method, ended, words):
    assert words in verdict.in_words(found, method, ended)
