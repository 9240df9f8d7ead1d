# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What it costs to open an image whose tables are scattered, while nothing of it is in memory."""

from __future__ import annotations

import typing as t

Table = t.Tuple[int, int]
"""Offset and length in bytes, in the order of reading."""

AHEAD = 128 * 1024
"""Bytes that the kernel reads ahead: a table that begins within them costs no jump of a disk's head."""
JUMPS_PER_SECOND = 120
"""What a disk with 7200 turns a minute does."""
NOTICED = 1.0
"""Seconds from which on somebody who starts instances notices."""


class Cost(t.NamedTuple):
    """The tables of an image, and what reading all of them once takes."""

    reads_to_open: int
    """Those that are read whenever it is opened."""
    reads: int
    """All, as a guest comes to need them that reads and writes everywhere."""
    jumps: int
    """Of all reads, those that do not go on where the one before has ended."""
    bytes: int
    span: int
    """Bytes from the first table to the end of the last one."""

    @property
    def seconds(self) -> float:
        """What the jumps take on a disk that turns."""
        return round(self.jumps / JUMPS_PER_SECOND, 2)

    @property
    def pays(self) -> bool:
        """Whether a raw file would begin noticeably faster."""
        return self.seconds >= NOTICED

    def reason(self) -> str:
        """Why it does or does not pay, in a sentence."""
        said = f"{self.reads} tables with {self.jumps} jumps between them take {self.seconds} s on a disk that turns, after each boot of the node anew"
        return f"{said}; a raw file has none." if self.pays else f"{said}: nobody notices."


def cost(always: t.Sequence[Table], later: t.Iterable[Table]) -> Cost:
    """The cost of tables that are read at each opening, and of those that are read when they are needed."""
    reads = jumps = total = 0
    first, last, end = 1 << 63, 0, -AHEAD - 1
    for group in (always, later):
        for offset, length in group:
            reads += 1
            jumps += not 0 <= offset - end <= AHEAD
            total += length
            end = offset + length
            first, last = min(first, offset), max(last, end)
    return Cost(len(always), reads, jumps, total, last - first if reads else 0)
