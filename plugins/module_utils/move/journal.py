# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The controller's record of a move: what was done when, and the lock that lets one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
import time
import typing as t

from .._errors import GanetiError


class Journal:
    """A file per instance and pair of clusters. Holds names, times and steps; never a secret."""

    def __init__(self, directory: str, source_cluster: str, name: str, destination_cluster: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.path = os.path.join(directory, f"{source_cluster}--{name}--{destination_cluster}.json")
        self._lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise GanetiError(f"Another run is moving {name} from {source_cluster} to {destination_cluster} right now: wait for it.") from error
        self._entries: t.List[t.Dict[str, t.Any]] = self._earlier()

    def begin(self, move_id: str) -> None:
        """Start the record of a new move."""
        self._entries = []
        self.add("begin", move_id=move_id)

    def add(self, step: str, **fields: t.Any) -> None:
        """Record a step, on stable storage before this returns."""
        self._entries.append({"time": round(time.time(), 3), "step": step, **fields})
        temporary = f"{self.path}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(self._entries, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path)

    def _earlier(self) -> t.List[t.Dict[str, t.Any]]:
        """What an earlier run has recorded; a run that takes a move up adds to it."""
        try:
            with open(self.path, encoding="utf-8") as stream:
                found = json.load(stream)
        except (FileNotFoundError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def close(self) -> None:
        """Give the lock back; the record stays."""
        os.close(self._lock)
