# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Raw files: copied with their holes, compared, digested, cloned by the file system."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import struct
import typing as t

from ..stream.extents import data_extents, runs

MIB = 1024 * 1024
_PIECE = MIB
_SECTOR = 512
_FICLONE = 0x40049409
_LOCK = struct.Struct("hhqqi4x")
"""struct flock of 64 bits: kind, whence, start, length, process."""
_QEMU_WRITES = 101
"""The byte that QEMU has locked in a file that it may write (block/file-posix.c: RAW_LOCK_PERM_BASE + BLK_PERM_WRITE)."""


def rounded(size: int) -> int:
    """*size* in whole MiB, as Ganeti counts disks."""
    return -(-size // MIB) * MIB


def data_bytes(descriptor: int, size: int) -> int:
    """The bytes between holes."""
    return sum(length for _offset, length in data_extents(descriptor, size))


def _pieces(descriptor: int, size: int) -> t.Iterator[t.Tuple[int, int]]:
    """What lies between holes, in aligned pieces: where each is, and how long."""
    done = 0
    for offset, length in data_extents(descriptor, size):
        end = offset + length
        offset = max(done, offset - offset % _PIECE)
        while offset < end:
            yield offset, min(_PIECE, size - offset)
            offset += _PIECE
        done = max(done, offset)


def copy(source: int, target: int, size: int) -> None:
    """Write the data of *source* into *target*, which has nothing but holes; what is zero becomes a hole too."""
    for offset, length in _pieces(source, size):
        data = bytearray(os.pread(source, length, offset))
        for start, end in runs(data, 0, len(data)):
            _write(target, memoryview(data)[start:end], offset + start)


def _write(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def clone(source: int, target: int) -> bool:
    """Have *target* share the blocks of *source*; whether the file system can do that."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY):
            raise
        return False
    return True


def same(first: int, first_size: int, second: int, second_size: int) -> bool:
    """Whether both have the same bytes, and the longer one zeros behind the other's end."""
    for one, size, other in ((first, first_size, second), (second, second_size, first)):
        for offset, length in _pieces(one, size):
            data = os.pread(one, length, offset)
            if data != os.pread(other, length, offset).ljust(len(data), b"\0"):
                return False
    return True


def digest(descriptor: int, size: int) -> str:
    """The SHA-256 of the whole file."""
    return next(_digests(descriptor, size, {size}))[1]


def has_digest(descriptor: int, size: int, wanted: str) -> bool:
    """Whether the file is what has that SHA-256, in whole sectors, followed by less than a MiB of zeros that only round its size up."""
    end = size
    while end > max(0, size - MIB) and not any(os.pread(descriptor, _SECTOR, end - _SECTOR)):
        end -= _SECTOR
    lengths = {size, *range(max(end, size - MIB + _SECTOR), size, _SECTOR)}
    return any(found == wanted for _length, found in _digests(descriptor, size, lengths))


def _digests(descriptor: int, size: int, lengths: t.AbstractSet[int]) -> t.Iterator[t.Tuple[int, str]]:
    """The SHA-256 of the first bytes of the file, for each of these lengths."""
    running, offset = hashlib.sha256(), 0
    for length in sorted(lengths):
        while offset < length:
            data = os.pread(descriptor, min(_PIECE, length - offset), offset)
            if not data:
                raise OSError(errno.EIO, "it became shorter while it was read")
            running.update(data)
            offset += len(data)
        yield length, running.copy().hexdigest()


def is_written_by_qemu(descriptor: int) -> bool:
    """Whether a QEMU has the file open to write it, as a running instance has its disk. Not one that was told not to lock files."""
    wanted = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _QEMU_WRITES, 1, 0)
    try:
        found = _LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, wanted))
    except OSError:  # a file system without locks: then QEMU has none either
        return False
    return bool(found[0] != fcntl.F_UNLCK)


def is_written(descriptor: int) -> bool:
    """Whether anybody has the file open to write it, this process as well, as far as its file system tells that."""
    try:
        # Were the lease broken at this moment, its signal is one that ends nobody.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False
