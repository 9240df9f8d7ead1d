# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which parts of a disk hold data: holes, zero blocks, runs of non-zero bytes."""

from __future__ import annotations

import errno
import os
import typing as t

GRANULE = 4096
"""Bytes; zeros are looked for in units of this size, the block of most file systems."""

BLOCK = 256 * 1024
"""Bytes; the unit that is read, checked and sent. Fits into a core's L2 cache."""

_ZERO = bytes(GRANULE)


def data_extents(fd: int, size: int) -> t.Iterator[t.Tuple[int, int]]:
    """Yield ``(offset, length)`` in bytes of each part of *fd* that may hold data.

    A file system or device without SEEK_DATA is one extent as long as the disk.
    """
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP):
                yield offset, size - offset
                return
            raise
        if start >= size:
            return
        try:
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError as error:
            # A block device answers SEEK_DATA but knows no hole at its end.
            if error.errno not in (errno.ENXIO, errno.EINVAL):
                raise
            end = size
        yield start, end - start
        offset = end


def blocks_of(extents: t.Iterable[t.Tuple[int, int]], block: int = BLOCK) -> t.Iterator[t.Tuple[int, int]]:
    """Turn byte extents into ``(first block, number of blocks)``, each block once.

    *extents* must be in ascending order.
    """
    done = 0
    for offset, length in extents:
        first = max(offset // block, done)
        end = -(-(offset + length) // block)
        if end > first:
            yield first, end - first
            done = end


def trim(buffer: bytearray, start: int, end: int) -> t.Tuple[int, int]:
    """Return the bounds of ``buffer[start:end]`` without leading and trailing zero granules.

    Granules are counted from *start*. An all-zero range gives ``(end, end)``.
    The result depends on the contents only, so that both ends of a stream and
    a later reading of the disk agree on it.
    """
    while start < end and not buffer[start] and _is_zero(buffer, start, min(start + GRANULE, end)):
        start = min(start + GRANULE, end)
    while end > start and not buffer[end - 1]:
        last = start + (end - start - 1) // GRANULE * GRANULE
        if not _is_zero(buffer, last, end):
            break
        end = last
    return start, end


def runs(buffer: bytearray, start: int, end: int) -> t.Iterator[t.Tuple[int, int]]:
    """Yield the bounds of the parts of ``buffer[start:end]`` between zero granules."""
    begin = position = start
    while position < end:
        after = min(position + GRANULE, end)
        # The first byte decides nearly always; only then is a granule compared.
        if not buffer[position] and _is_zero(buffer, position, after):
            if begin < position:
                yield begin, position
            begin = after
        position = after
    if begin < end:
        yield begin, end


def _is_zero(buffer: bytearray, start: int, end: int) -> bool:
    # A slice of a bytearray compares with memcmp, a memoryview element by element.
    return buffer[start:end] == (_ZERO if end - start == GRANULE else bytes(end - start))
