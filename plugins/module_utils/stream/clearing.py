# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Emptying the destination's disks before anything is written to them.

Zeros are never sent, so all of a destination must read as zeros first, what lies
behind the agreed end included: nothing of a former owner may be left. Each way
works in pieces, so that a large disk shows progress; from the best to the last:

* what is a hole already is left alone;
* punching holes, which gives the blocks back. On a block device the kernel does
  this only where the device promises zeros afterwards; a plain discard promises
  nothing (BLKDISCARDZEROES has always said no since Linux 4.12), so it is not used;
* a file whose file system cannot punch is cut off and made as long as it was;
* a device that cannot: what reads as zeros is left alone, so that a thin volume
  stays thin, the rest is zeroed by the device, or written.
"""

from __future__ import annotations

import os
import random
import typing as t

from .disks import PUNCH_HOLE, ZERO_RANGE, Disk, allocate, finish_writeback, forget_cache, open_any, write_at
from .errors import EndpointError
from .extents import data_extents

PIECE = 64 * 1024 * 1024
_SMALL_PIECE = 1024 * 1024
_ZEROS = bytes(_SMALL_PIECE)
_SAMPLES = 32
_SAMPLE = 4096

Tell = t.Callable[[int], None]
"""Takes the bytes of the disk that are handled so far."""


def clear(disk: Disk, tell: Tell) -> int:
    """Make all of *disk* read as zeros; its real length in bytes. Raises EndpointError."""
    descriptor, kind, length = open_any(disk.path, write=True)
    try:
        (_clear_file if kind == "file" else _clear_device)(descriptor, length, tell)
        _verify(disk, descriptor, length)
    except OSError as error:
        raise EndpointError(f"The disk {disk.path} on the destination node could not be emptied: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    return length


def _clear_file(descriptor: int, length: int, tell: Tell) -> None:
    for offset, count in _pieces(data_extents(descriptor, length)):
        if not allocate(descriptor, PUNCH_HOLE, offset, count):
            _cut(descriptor, length, tell)
            break
        tell(offset + count)
    tell(length)


def _cut(descriptor: int, length: int, tell: Tell) -> None:
    """Give all blocks of a file back from its end on, and make it as long as it was."""
    for rest in range((length - 1) // PIECE * PIECE, -1, -PIECE):
        os.ftruncate(descriptor, rest)
        tell(length - rest)
    os.ftruncate(descriptor, length)


def _clear_device(descriptor: int, length: int, tell: Tell) -> None:
    for offset, count in _pieces([(0, length)]):
        if not allocate(descriptor, PUNCH_HOLE, offset, count):
            _zero(descriptor, offset, offset + count, tell)
        tell(offset + count)


def _zero(descriptor: int, start: int, end: int, tell: Tell) -> None:
    """Zero a piece of a device from the first part on that is not zero already."""
    begin = _after_zeros(descriptor, start, end, tell)
    if begin < end and not allocate(descriptor, ZERO_RANGE, begin, end - begin):
        for offset in range(begin, end, _SMALL_PIECE):
            write_at(descriptor, memoryview(_ZEROS)[: min(_SMALL_PIECE, end - offset)], offset)
            tell(offset)
        # Written out at once, so that the copy does not begin with a node full of dirty memory.
        finish_writeback(descriptor, begin, end - begin)
    forget_cache(descriptor, start, end - start)


def _after_zeros(descriptor: int, start: int, end: int, tell: Tell) -> int:
    """Where the first part of a piece begins that does not read as zeros; its end where there is none."""
    for offset in range(start, end, _SMALL_PIECE):
        want = min(_SMALL_PIECE, end - offset)
        if os.pread(descriptor, want, offset) != _ZEROS[:want]:
            return offset
        tell(offset)
    return end


def _verify(disk: Disk, descriptor: int, length: int) -> None:
    """Raise EndpointError where the disk does not read as zeros at its ends and at some places between."""
    forget_cache(descriptor)
    last = max(0, length - _SAMPLE)
    places = [0, last, min(disk.size, last)] + [random.randrange(last + 1) for _each in range(_SAMPLES)]
    for place in places:
        if any(os.pread(descriptor, _SAMPLE, place)):
            where = f"The disk {disk.path} on the destination node"
            raise EndpointError(f"{where} still holds data at byte {place} after it was emptied: do not trust this storage.")


def _pieces(extents: t.Iterable[t.Tuple[int, int]]) -> t.Iterator[t.Tuple[int, int]]:
    """*extents* in pieces of at most PIECE bytes. Extents are looked up as they are asked for, while those before are being given back."""
    for offset, length in extents:
        for start in range(offset, offset + length, PIECE):
            yield start, min(PIECE, offset + length - start)
