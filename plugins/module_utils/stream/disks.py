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

# FALLOC_FL_*, each with FALLOC_FL_KEEP_SIZE.
PUNCH_HOLE = 0x02 | 0x01
ZERO_RANGE = 0x10 | 0x01
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENODEV, errno.ENOSYS, errno.EINVAL)

_BEFORE, _WRITE, _AFTER = 1, 2, 4
"""SYNC_FILE_RANGE_*: wait for what is on its way, start what is not, wait for that."""

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
    """Open *disk* and return its descriptor, once it is known to have the agreed size. It may be longer, as storage that rounds up makes it."""
    descriptor, _kind, actual = open_any(disk.path, write)
    if actual < disk.size:
        os.close(descriptor)
        raise EndpointError(f"The disk {disk.path} holds {actual} bytes, not the {disk.size} that were agreed.")
    return descriptor


def check_whole(disks: t.Iterable[Disk]) -> None:
    """Raise EndpointError where a source's disk is longer than agreed: what lies behind the end would be lost without a word."""
    for disk in disks:
        descriptor, _kind, actual = open_any(disk.path, write=False)
        os.close(descriptor)
        if actual != disk.size:
            raise EndpointError(f"The disk {disk.path} holds {actual} bytes, not the {disk.size} that were agreed: run gnt-cluster repair-disk-sizes.")


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the kernel begin to write a range out, so that the final fsync has less left to do."""
    # A hint: where the kernel does not take it, fsync does all of the work.
    _libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _WRITE)


def finish_writeback(descriptor: int, offset: int, length: int) -> None:
    """Wait until a range is written out; raise OSError where that failed. It is durable only after a final fsync."""
    if _libc.sync_file_range(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _BEFORE | _WRITE | _AFTER):
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number))


def forget_cache(descriptor: int, offset: int = 0, length: int = 0) -> None:
    """Drop a range's clean pages (all from *offset* on with a length of 0), so that the next reading comes from storage."""
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def allocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    """Whether the kernel could do this kind of fallocate here; raise OSError where it could but failed."""
    if _libc.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number))


def write_at(descriptor: int, view: memoryview, offset: int) -> None:
    """Write all of *view*; raise OSError where that fails."""
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def check_in_place(path: str, descriptor: int) -> None:
    """Raise EndpointError where *path* does not lead to the file or device any more that *descriptor* has open: what was written is nobody's then."""
    opened = os.fstat(descriptor)
    try:
        found = os.stat(path)
    except OSError as error:
        raise EndpointError(f"The disk {path} was taken away while it was written: {error.strerror}.") from error
    same = opened.st_rdev == found.st_rdev if stat.S_ISBLK(opened.st_mode) else os.path.samestat(opened, found)
    if not same or stat.S_IFMT(opened.st_mode) != stat.S_IFMT(found.st_mode):
        raise EndpointError(f"The disk {path} was replaced while it was written.")
