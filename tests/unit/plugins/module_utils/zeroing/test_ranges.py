# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arithmetic with ranges, against sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import ranges

NUMBERS = st.sets(st.integers(0, 60))


def runs(numbers):
    """A set as ranges."""
    return list(ranges.joined((number, number + 1) for number in sorted(numbers)))


def members(found):
    """Ranges as a set."""
    return {number for start, end in found for number in range(start, end)}


@given(NUMBERS, NUMBERS)
def test_what_is_taken_is_left_out(all_of_them, taken):
    left = list(ranges.without(runs(all_of_them), runs(taken)))
    assert members(left) == all_of_them - taken
    assert all(start < end for start, end in left) and left == sorted(left)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9))))
def test_joined_ranges_are_apart_and_the_same(pairs):
    given_ranges = sorted((start, start + length) for start, length in pairs)
    found = list(ranges.joined(given_ranges))
    assert members(found) == members(given_ranges)
    assert all(before[1] < after[0] for before, after in zip(found, found[1:])) and all(start < end for start, end in found)


@given(st.binary(max_size=9), st.integers(0, 80))
def test_zero_bits_are_those_whose_bit_is_not_set(bitmap, count):
    found, zeros = ranges.zero_bits(bitmap, count)
    expected = {bit for bit in range(count) if bit // 8 >= len(bitmap) or not bitmap[bit // 8] >> bit % 8 & 1}
    assert members(found) == expected and zeros == len(expected)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_range_is_narrowed_to_whole_units(start, length):
    first, end = ranges.narrowed(start, start + length, 16)
    whole = [unit for unit in range(40 * 2) if unit * 16 >= start and unit * 16 + 16 <= start + length]
    assert members([(first, end)]) == members((unit * 16, unit * 16 + 16) for unit in whole)


def test_of_too_many_pieces_the_smallest_are_left_out(monkeypatch):
    monkeypatch.setattr(ranges.Collected, "MOST", 10)
    collected, unit = ranges.Collected(), ranges.GRANULE
    for number in range(30):
        collected.add(number * 100 * unit, (number * 100 + (8 if number % 6 == 0 else 1)) * unit)
    assert list(collected) == [(number * 100 * unit, (number * 100 + 8) * unit) for number in range(0, 30, 6)]
