# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Linux's inotify, as far as following Ganeti's files needs it; the standard library has none."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import typing as t

MOVED_FROM, MOVED_TO, CLOSE_WRITE, CREATE, DELETE, OVERFLOW = 0x40, 0x80, 0x8, 0x100, 0x200, 0x4000
_CHANGES = MOVED_FROM | MOVED_TO | CLOSE_WRITE | CREATE | DELETE
_ONLY_DIRECTORIES = 0x01000000
_HEAD = struct.Struct("iIII")


class Event(t.NamedTuple):
    """Something happened to *name* in a directory that is watched; with *lost*, the kernel could not keep all events."""

    directory: str
    name: str
    lost: bool = False


class Watcher:
    """Watches directories, not what is below them."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._directories: t.Dict[int, str] = {}

    def watch(self, directory: str) -> None:
        """Begin to watch a directory, or go on."""
        number = self._checked(self._library.inotify_add_watch(self._descriptor, os.fsencode(directory), _CHANGES | _ONLY_DIRECTORIES), directory)
        self._directories[number] = directory

    def events(self, seconds: float) -> t.List[Event]:
        """What has happened, at the latest after some seconds; an empty list where nothing has."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        data = os.read(self._descriptor, 1 << 20)
        found, offset = [], 0
        while offset < len(data):
            number, mask, _cookie, length = _HEAD.unpack_from(data, offset)
            name = data[offset + _HEAD.size : offset + _HEAD.size + length].rstrip(b"\0")
            offset += _HEAD.size + length
            if mask & OVERFLOW or number in self._directories:
                found.append(Event(self._directories.get(number, ""), os.fsdecode(name), bool(mask & OVERFLOW)))
        return found

    def close(self) -> None:
        """Stop watching; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @staticmethod
    def _checked(answer: int, path: t.Optional[str] = None) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return answer
