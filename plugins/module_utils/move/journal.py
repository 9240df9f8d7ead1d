# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The controller's record of a move: what was done when, and the lock that lets one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
import typing as t

from .._errors import GanetiError
from .._files import replace

_LOCK = ".lock"
_RECORD = re.compile(r".+--.+--.+\.json\Z")
_KEPT = 90 * 86400.0
"""Seconds that a record is kept after the last step that it holds."""


class Journal:
    """A file per instance and pair of clusters. Holds names, times and steps; never a secret."""

    def __init__(self, directory: str, source_cluster: str, name: str, destination_cluster: str) -> None:
        self.path = os.path.join(directory, f"{source_cluster}--{name}--{destination_cluster}.json")
        self.problem: t.Optional[str] = None
        """Why the record is not complete, if it is not: it is for people, and no move ends for it."""
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._lock = _locked(self.path + _LOCK)
        except BlockingIOError as error:
            # Not a living one, as that would have the lease: it is stopped, or about to end.
            raise GanetiError(
                f"Another run on this controller that has lost its lease still has the journal {self.path}: end it, or set another journal_directory."
            ) from error
        except OSError as error:
            raise GanetiError(f"The record of the move cannot be kept in {directory}: {error.strerror or error}. Set journal_directory.") from error
        tidy(directory, time.time())
        self._entries: t.List[t.Dict[str, t.Any]] = self._earlier()

    def begin(self, move_id: str) -> None:
        """Start the record of a new move."""
        self._entries = []
        self.add("begin", move_id=move_id)

    def add(self, step: str, **fields: t.Any) -> None:
        """Record a step, on stable storage before this returns; where that cannot be, ``problem`` says why."""
        self._entries.append({"time": round(time.time(), 3), "step": step, **fields})
        try:
            self._write()
        except OSError as error:
            self.problem = f"The record of the move in {self.path} is not complete: {error.strerror or error}."

    def _write(self) -> None:
        replace(self.path, json.dumps(self._entries, indent=1).encode("utf-8"), 0o600)

    def _earlier(self) -> t.List[t.Dict[str, t.Any]]:
        """What an earlier run has recorded; a run that takes a move up adds to it."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                found = json.load(stream)
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def close(self) -> None:
        """Give the lock back; the record stays."""
        os.close(self._lock)


def tidy(directory: str, now: float) -> t.List[str]:
    """Remove the records, and their locks, to which nothing was added for 90 days by *now*; their paths.

    Recovery does not need them. What cannot be removed, or is in use, is left.
    """
    removed = []
    for path in sorted(_old_records(directory, now)):
        try:
            lock = _locked(path + _LOCK)
        except OSError:
            continue
        try:
            os.unlink(path)
            removed.append(path)
            os.unlink(path + _LOCK)  # while it is held: who has opened it before sees that it is not the one of that name any more
        except OSError:
            continue
        finally:
            os.close(lock)
    return removed


def _old_records(directory: str, now: float) -> t.Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if _RECORD.match(entry.name) and entry.is_file(follow_symlinks=False) and now - entry.stat(follow_symlinks=False).st_mtime > _KEPT:
                    yield entry.path
    except OSError:
        return


def _locked(path: str) -> int:
    """A descriptor that holds the lock at *path*; raise BlockingIOError where another has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was removed between opening and locking
