# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files that are opened once, without following tricks, and read within bounds."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

from .._errors import ImageFailed, ImageRefused, InvalidInput

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_LONGEST_SHOWN = 200


class Damaged(Exception):
    """Why the structures of an image cannot be right: a clause."""


class File:
    """A regular file that is open for reading; what is known of it is that of the moment of its opening."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.stat = os.fstat(descriptor)

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.stat.st_size

    @property
    def allocated(self) -> int:
        """The bytes that it takes on its file system."""
        return self.stat.st_blocks * 512

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes from there; raise Damaged where the file has not got them."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"it ends at {self.size} bytes, and something of it is said to be at {offset}")
        data = b""
        while len(data) < length:
            piece = os.pread(self.descriptor, length - len(data), offset + len(data))
            if not piece:
                raise Damaged("it became shorter while it was read")
            data += piece
        return data

    def head(self, length: int) -> bytes:
        """So many bytes of its beginning, fewer where it is shorter."""
        return self.at(0, min(length, self.size))

    def is_unchanged(self) -> bool:
        """Whether nobody has written it since it was opened. The time of change is the kernel's, and cannot be set."""
        now = os.fstat(self.descriptor)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (self.stat.st_size, self.stat.st_mtime_ns, self.stat.st_ctime_ns)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


def check_path(path: str, option: str) -> str:
    """*path*, if it is absolute and goes straight to a file."""
    if not path.startswith("/") or path != os.path.normpath(path) or path == "/" or "\0" in path:
        raise InvalidInput(f"{option} is {path!r}: use the absolute path of a file, without '..' or slashes too many.")
    return path


def open_regular(path: str, directory: t.Optional[int] = None) -> File:
    """Open a regular file, by a name in *directory* if that is given; raise FileNotFoundError where it is not there, else ImageRefused."""
    try:
        descriptor = os.open(path if directory is None else os.path.basename(path), _FLAGS, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ImageRefused(f"{path} is a symbolic link, which is not followed: name the file that it leads to.") from None
        raise ImageFailed(f"{path} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ImageRefused(f"{path} is no regular file: images are read of files alone.")
    return File(path, descriptor)


def shown(name: bytes) -> str:
    """A name out of an image, for a person to read: short and printable."""
    text = name.decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_SHOWN])
