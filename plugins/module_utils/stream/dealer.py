# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Dealing out the blocks of disks to lanes, through a pipe that all of them read."""

from __future__ import annotations

import os
import struct
import typing as t

from .disks import Disk, forget_cache, open_disk
from .errors import EndpointError
from .extents import BLOCK, blocks_of, data_extents, trim
from .free_space import NOTHING, FreeSpace

RANGE_BLOCKS = 64
"""Blocks dealt out at a time (16 MiB): long enough to read ahead, short enough to share evenly."""

_RECORD = struct.Struct("!HxxIQ")
_LAST = 0xFFFF  # no instance has that many disks


class Range(t.NamedTuple):
    """Some consecutive blocks of one disk."""

    disk: int
    first: int
    blocks: int


def ranges_of(index: int, descriptor: int, size: int, free: FreeSpace = NOTHING) -> t.Iterator[Range]:
    """The blocks of one disk that may hold data which is not all *free*, in ranges to deal out."""
    for first, count in blocks_of(free.without(data_extents(descriptor, size))):
        for start in range(first, first + count, RANGE_BLOCKS):
            yield Range(index, start, min(RANGE_BLOCKS, first + count - start))


def _free_on(disks: t.Sequence[Disk], free: t.Sequence[FreeSpace]) -> t.Sequence[FreeSpace]:
    """What is free on each disk; nothing where nothing is known of it."""
    return free or [NOTHING] * len(disks)


def data_bytes(disks: t.Sequence[Disk], free: t.Sequence[FreeSpace] = ()) -> t.List[int]:
    """Bytes of each disk in blocks that may hold data which is not all *free*; found without reading any."""
    result = []
    for index, (disk, skipped) in enumerate(zip(disks, _free_on(disks, free))):
        descriptor = open_disk(disk, write=False)
        try:
            result.append(sum(piece.blocks for piece in ranges_of(index, descriptor, disk.size, skipped)) * BLOCK)
        finally:
            os.close(descriptor)
    return result


class Dealer:
    """Hands out ranges through a pipe: one process deals, the lanes take.

    Made before the processes are forked. Whoever fails is reported by its own
    process; the parent then ends the others, so neither side waits forever.
    """

    def __init__(self, disks: t.Sequence[Disk], lanes: int, free: t.Sequence[FreeSpace] = ()) -> None:
        self._disks = disks
        self.free = _free_on(disks, free)
        """What of each disk is neither dealt out nor read."""
        self._lanes = lanes
        self._read, self._write = os.pipe()

    def deal(self) -> None:
        """Put all ranges into the pipe, which holds this back while the lanes are busy."""
        for index, disk in enumerate(self._disks):
            descriptor = open_disk(disk, write=False)
            for piece in ranges_of(index, descriptor, disk.size, self.free[index]):
                os.write(self._write, _RECORD.pack(piece.disk, piece.blocks, piece.first))
            os.close(descriptor)
        for _lane in range(self._lanes):
            os.write(self._write, _RECORD.pack(_LAST, 0, 0))

    def take(self) -> t.Iterator[Range]:
        """The ranges that fall to this lane, until the work is done."""
        while True:
            # The kernel never splits a record between readers: pages hold a whole number of them.
            disk, count, first = _RECORD.unpack(os.read(self._read, _RECORD.size))
            if disk == _LAST:
                return
            yield Range(disk, first, count)


class BlockReader:
    """Reads the blocks that fall to a lane, one at a time into the same buffer.

    *headroom* bytes in front of each block stay free for what is to precede it
    on the wire, so that no byte has to be copied. *tell* is called after every
    block, be it of zeros, with the bytes handled so far: reading is work too.
    What the dealer knows to be free is not read, and is zeros here, as it will be at the destination.
    """

    def __init__(self, disks: t.Sequence[Disk], dealer: Dealer, tell: t.Callable[[int], None], headroom: int = 0) -> None:
        self.buffer = bytearray(headroom + BLOCK)
        self.done = 0
        """Bytes of disks handled so far, zeros included."""
        self._disks = disks
        self._dealer = dealer
        self._tell = tell
        self._headroom = headroom

    def __iter__(self) -> t.Iterator[t.Tuple[int, int, int, int]]:
        """Yield disk, byte offset, start and end in the buffer of each block's non-zero part."""
        descriptors = [open_disk(disk, write=False) for disk in self._disks]
        view, head = memoryview(self.buffer), self._headroom
        for disk, first, count in self._dealer.take():
            size = self._disks[disk].size
            for offset in range(first * BLOCK, (first + count) * BLOCK, BLOCK):
                want = min(BLOCK, size - offset)
                self._fill(disk, descriptors[disk], view[head:head + want], offset)
                self.done += want
                start, end = trim(self.buffer, head, head + want)
                if start < end:
                    yield disk, offset + start - head, start, end
                self._tell(self.done)
            # What was read once is not needed again: the node's memory is for its guests.
            forget_cache(descriptors[disk], first * BLOCK, count * BLOCK)

    def _fill(self, disk: int, descriptor: int, view: memoryview, offset: int) -> None:
        """Fill *view* with what is at *offset*."""
        end = offset + len(view)
        begin = offset
        for start, after in self._dealer.free[disk].within(offset, end):
            if begin < start:
                self._read(disk, descriptor, view[begin - offset : start - offset], begin)
            view[start - offset : after - offset] = bytes(after - start)
            begin = after
        if begin < end:
            self._read(disk, descriptor, view[begin - offset :], begin)

    def _read(self, disk: int, descriptor: int, view: memoryview, offset: int) -> None:
        try:
            count, why = os.preadv(descriptor, [view], offset), "it is shorter than it was"
        except OSError as error:
            count, why = -1, str(error.strerror)
        if count != len(view):
            raise EndpointError(f"The disk {self._disks[disk].path} could not be read at byte {offset}: {why}.")
