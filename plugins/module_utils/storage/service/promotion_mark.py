# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The mark of a promotion that is not finished: this node's files do not hold all that its database does.

It is on stable storage before the first file is written, and goes when the last archived job is. Whatever dies between, the mark stays, and while
it does nobody takes what the files lack for something that Ganeti has removed. A mark that outlived its promotion, as on a node that never became the
master, does no harm: it costs a look through the archive when the node becomes the master one day.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ..._errors import StorageFailed
from ..._files import replace, sync_directory

_NAME = "promotion-unfinished"
_TEXT = b"This node's files are being made out of its database. See master_failover in the documentation of ganeti.cluster.\n"


def begin(directory: str) -> None:
    """Mark, durably; raise StorageFailed where that cannot be. Whoever still finishes an earlier promotion here is waited for: it would remove this mark."""
    try:
        locked = _lock(directory, wait=True)
        try:
            replace(_path(directory), _TEXT, 0o600)
        finally:
            _unlock(locked)
    except OSError as error:
        raise StorageFailed(f"Cannot write {_path(directory)}: {error.strerror}. Nothing else was written.") from error


def unfinished(directory: str) -> bool:
    """Whether there is a mark."""
    return os.path.exists(_path(directory))


@contextlib.contextmanager
def finishing(directory: str, wait: bool) -> t.Iterator[bool]:
    """Do what is left in here; the mark is removed, durably, where that raises nothing.

    False where there is nothing to do: no mark, or, without *wait*, somebody else who is at it.
    """
    locked = _lock(directory, wait)
    try:
        yield locked is not None
        if locked is not None:
            with contextlib.suppress(FileNotFoundError):  # somebody removed it by hand
                os.unlink(_path(directory))
            sync_directory(directory)
    finally:
        _unlock(locked)


def _lock(directory: str, wait: bool) -> t.Optional[int]:
    """Lock the mark, so that nobody else replaces or removes it until that is undone, or this process ends. None where there is no mark, or somebody has it."""
    while True:
        try:
            descriptor = os.open(_path(directory), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_there(directory, descriptor):
            return descriptor
        os.close(descriptor)  # it was removed or replaced meanwhile


def _unlock(locked: t.Optional[int]) -> None:
    if locked is not None:
        os.close(locked)


def _is_there(directory: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(_path(directory)), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _path(directory: str) -> str:
    return os.path.join(directory, _NAME)
