# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing disks to stable storage, in pieces, so that it can be told how far that is.

One fsync would do, but says nothing for as long as it takes. So ranges are
written out one after another, some ahead of the one that is waited for, and a
last fsync does the rest: the file's own data, and the device's cache.
"""

from __future__ import annotations

import os
import threading
import typing as t

from .disks import finish_writeback, forget_cache, start_writeback
from .errors import EndpointError

PIECE = 16 * 1024 * 1024
_AHEAD = 4
_LOOK = 1.0

Tell = t.Callable[[int, int], None]
"""Takes the bytes that are written out, and a number that grows while storage works."""


def make_durable(path: str, descriptor: int, length: int, tell: Tell) -> None:
    """Return once *length* bytes are on stable storage; raise EndpointError where that failed.

    *descriptor* must be one that was open before the first write: an error of
    writing that somebody else was told already is not told to one opened later.
    """
    try:
        for offset in range(0, length, PIECE):
            start_writeback(descriptor, offset + _AHEAD * PIECE, PIECE)
            finish_writeback(descriptor, offset, min(PIECE, length - offset))
            tell(min(length, offset + PIECE), 0)
        with _Signs(descriptor, lambda work: tell(length, work)):
            os.fsync(descriptor)
        forget_cache(descriptor)
    except OSError as error:
        raise EndpointError(f"The disk {path} on the destination node could not be brought to stable storage: {error.strerror}.") from error


class _Signs:
    """While the last fsync runs, tells what its device has written, which is the only sign of it there is."""

    def __init__(self, descriptor: int, tell: t.Callable[[int], None]) -> None:
        self._descriptor, self._tell = descriptor, tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            self._tell(written(self._descriptor))


def written(descriptor: int) -> int:
    """Sectors and flushes that the device under a file, or the device itself, has taken since it is there; 0 where it does not tell."""
    state = os.fstat(descriptor)
    device = state.st_rdev or state.st_dev
    try:
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat", encoding="ascii") as stream:
            fields = [int(word) for word in stream.read().split()]
    except (OSError, ValueError):
        return 0
    # Documentation/block/stat.rst: writes done are the fifth, their sectors the seventh, flushes done the sixteenth, which old kernels lack.
    return sum(fields[index] for index in (4, 6, 15) if index < len(fields))
