# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Linux's inotify, as far as following Ganeti's files needs it; the standard library has none."""

from __future__ import annotations

import ctypes
import os
import select
import stat
import struct
import typing as t

MOVED_FROM, MOVED_TO, CLOSE_WRITE, CREATE, DELETE, OVERFLOW = 0x40, 0x80, 0x8, 0x100, 0x200, 0x4000
_CHANGES = MOVED_FROM | MOVED_TO | CLOSE_WRITE | CREATE | DELETE
IGNORED = 0x8000
"""The kernel watches a directory no more: it was removed, or its file system unmounted."""
_ONLY_DIRECTORIES = 0x01000000
_HEAD = struct.Struct("iIII")


class Event(t.NamedTuple):
    """Something happened to *name* in a directory that is watched; with *lost*, the kernel could not keep all events, or the directory is gone."""

    directory: str
    name: str
    lost: bool = False


class Seen(t.NamedTuple):
    """Paths that lead to another directory than they did, or to none; and those that lead to one that was not watched. A path may be in both."""

    stale: t.List[str]
    new: t.List[str]


class Watcher:
    """Watches directories, not what is below them."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._directories: t.Dict[int, str] = {}
        self._watched: t.Dict[str, t.Tuple[int, t.Tuple[int, int]]] = {}
        """By their paths, the kernel's numbers of what is watched, and which directories those are: device and inode."""

    def watch(self, directories: t.Iterable[str]) -> Seen:
        """Watch what these paths lead to now, where it is a directory, and nothing else; which of that is other than it was.

        The kernel watches directories, whatever they are called: one that was put in the place of another, or mounted over it, is not seen by itself.
        """
        wanted = {path: identity for path, identity in ((path, _identity(path)) for path in directories) if identity is not None}
        stale = [path for path, (_number, identity) in self._watched.items() if wanted.get(path) != identity]
        new = [path for path in wanted if path not in self._watched or path in stale]
        for path in stale:
            self._unwatch(path)
        for path in new:
            number = self._checked(self._library.inotify_add_watch(self._descriptor, os.fsencode(path), _CHANGES | _ONLY_DIRECTORIES), path)
            self._directories[number] = path
            self._watched[path] = (number, wanted[path])
        return Seen(stale, new)

    def _unwatch(self, path: str) -> None:
        """What the kernel says of it later is nobody's concern."""
        number, _identity_then = self._watched.pop(path)
        if self._directories.get(number) == path:
            del self._directories[number]
            self._library.inotify_rm_watch(self._descriptor, number)  # fails where it is gone, which is what is wanted

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
            lost = bool(mask & (OVERFLOW | IGNORED))
            if mask & OVERFLOW or number in self._directories:
                found.append(Event(self._directories.get(number, ""), os.fsdecode(name), lost))
            if mask & IGNORED and number in self._directories:
                del self._watched[self._directories.pop(number)]
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


def _identity(path: str) -> t.Optional[t.Tuple[int, int]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
