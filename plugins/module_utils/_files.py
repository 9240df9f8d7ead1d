# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files that are replaced as a whole: whoever reads sees the old one or the new one, whenever the power fails."""

from __future__ import annotations

import errno
import os
import tempfile
import typing as t


def replace(path: str, content: bytes, mode: int, durable: bool = True, owner: t.Optional[t.Tuple[int, int]] = None) -> None:
    """Put a file in its place; raise OSError, and leave the old one. Without *durable* whoever writes has to sync before anything relies
    on it: with the power it may be lost, and where the file system brings names to the disk before contents, be empty.

    It belongs to whoever writes it, or to *owner*, the ids of a user and a group.
    """
    directory = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        sync_directory(directory)


def sync_directory(path: str) -> None:
    """Have what was put into a directory, or taken out of it, outlast the power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without it
            raise
    finally:
        os.close(descriptor)
