# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Opening a disk, be it a file or a block device, making it empty, making it durable."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import typing as t

from .errors import EndpointError
from .extents import BLOCK, data_extents

_PUNCH_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, which punching demands
_ZERO_RANGE = 0x10 | 0x01
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENODEV, errno.ENOSYS, errno.EINVAL)
_SYNC_FILE_RANGE_WRITE = 2

_libc = ctypes.CDLL(None, use_errno=True)


class Disk(t.NamedTuple):
    """A disk as agreed by both ends: its path on this node and its size in bytes."""

    path: str
    size: int


def open_any(path: str, write: bool) -> t.Tuple[int, str, int]:
    """Open a file or block device: its descriptor, its kind (``file`` or ``device``), its length in bytes."""
    try:
        # O_NONBLOCK: a FIFO in a disk's place must not hold this process up.
        descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise EndpointError(f"Cannot open the disk {path}: {error.strerror}.") from error
    mode = os.fstat(descriptor).st_mode
    kind = "file" if stat.S_ISREG(mode) else "device" if stat.S_ISBLK(mode) else None
    if kind is None:
        os.close(descriptor)
        raise EndpointError(f"The disk {path} is neither a file nor a block device.")
    return descriptor, kind, os.lseek(descriptor, 0, os.SEEK_END)


def open_disk(disk: Disk, write: bool) -> int:
    """Open *disk* and return its descriptor, once it is known to be what was agreed.

    A destination may be longer, as storage that rounds sizes up makes it. A
    source must not: what lies behind its agreed end would be lost without a word.
    """
    descriptor, _kind, actual = open_any(disk.path, write)
    if actual < disk.size or (actual > disk.size and not write):
        os.close(descriptor)
        raise EndpointError(f"The disk {disk.path} holds {actual} bytes, not the {disk.size} that were agreed.")
    return descriptor


def clear(descriptor: int, size: int) -> None:
    """Make all of the disk read as zeros and give back its blocks, so that only data has to be written."""
    if next(data_extents(descriptor, size), None) is None:
        return
    for mode in (_PUNCH_HOLE, _ZERO_RANGE):
        if _fallocate(descriptor, mode, 0, size):
            return
    zeros = bytes(BLOCK)
    for offset in range(0, size, BLOCK):
        os.pwrite(descriptor, zeros[: min(BLOCK, size - offset)], offset)


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the kernel begin to write a range out, so that the final fsync has less left to do."""
    # A hint: where the kernel does not take it, fsync does all of the work.
    _libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


def forget_cache(descriptor: int) -> None:
    """Drop the disk's clean pages, so that the next reading comes from storage."""
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    """Whether the kernel could; raise OSError where it could but failed."""
    if _libc.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))
