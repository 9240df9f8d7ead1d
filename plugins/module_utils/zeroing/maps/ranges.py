# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Arithmetic with ranges of bytes or blocks: pairs of start and end, in ascending order, none touching another's inside."""

from __future__ import annotations

import array
import re
import typing as t

Range = t.Tuple[int, int]

GRANULE = 4096
"""Bytes; free space is told in units of this size, counted from the disk's start, in which the stream looks for zeros."""

_ZEROS = re.compile("0+")


def zero_bits(bitmap: bytes, count: int) -> t.Tuple[t.List[Range], int]:
    """The runs of zeros among the first *count* bits of a bitmap whose lowest bit comes first, and how many zeros there are."""
    bits = format(int.from_bytes(bitmap, "little"), "b").zfill(count)[::-1][:count]
    return [match.span() for match in _ZEROS.finditer(bits)], bits.count("0")


def length_of(ranges: t.Iterable[Range]) -> int:
    """How much all of *ranges* are together."""
    return sum(end - start for start, end in ranges)


def joined(ranges: t.Iterable[Range]) -> t.Iterator[Range]:
    """*ranges*, which begin in ascending order, with those made one that touch or overlap."""
    begin = end = -1
    for start, stop in ranges:
        if start > end:
            if begin >= 0 and begin < end:
                yield begin, end
            begin, end = start, stop
        end = max(end, stop)
    if begin >= 0 and begin < end:
        yield begin, end


def without(ranges: t.Iterable[Range], taken: t.Iterable[Range]) -> t.Iterator[Range]:
    """The parts of *ranges* that are in none of *taken*."""
    rest = iter(taken)
    now = next(rest, None)
    for start, end in ranges:
        while now is not None and now[0] < end:
            if now[0] > start:
                yield start, now[0]
            start = max(start, now[1])
            if now[1] > end:
                break
            now = next(rest, None)
        if start < end:
            yield start, end


def narrowed(start: int, end: int, unit: int = GRANULE) -> Range:
    """The whole units within a range; a range that ends where it starts when there is none."""
    first = -(-start // unit) * unit
    return first, max(first, end // unit * unit)


class Collected:
    """Free ranges of one volume, in bounded memory: where there are too many, the smallest are left out."""

    MOST = 1 << 16

    def __init__(self) -> None:
        self._numbers = array.array("Q")
        self._least = GRANULE

    def add(self, start: int, end: int) -> None:
        """Take the whole granules of a range in."""
        start, end = narrowed(start, end)
        if end - start < self._least:
            return
        self._numbers.extend((start, end))
        while len(self._numbers) > 2 * self.MOST:
            self._least *= 2
            self._numbers = array.array("Q", (number for pair in self if pair[1] - pair[0] >= self._least for number in pair))

    def __iter__(self) -> t.Iterator[Range]:
        """The ranges, in the order in which they came."""
        return zip(self._numbers[::2], self._numbers[1::2])
