# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service does beside following: it looks after the standbys, and whether this node is the master still."""

from __future__ import annotations

import threading
import time
import typing as t

from ..._errors import GanetiError, StorageFenced
from ..drivers.documents import Json
from ..drivers.epochs import Claim
from ..drivers.interface import Storage
from . import promote, taken_over
from .follow import Follower
from .mastership import replaced, resting
from .settings import Settings

STEP = 5.0
"""Seconds between two looks at the standbys."""
_SOON = 0.1
"""Seconds until it is noticed that the follower has caught up."""


class Tender(threading.Thread):
    """Does it, for whoever has made this claim; a thread, as a server that is away must not hold up the follower."""

    def __init__(self, chosen: Settings, follower: Follower, mine: Claim) -> None:
        super().__init__(daemon=True)
        self._chosen = chosen
        self._follower = follower
        self._mine = mine
        self._end = threading.Event()
        self.problem: t.Optional[str] = None
        self.replaced = False

    def run(self) -> None:
        """Until the end. Where nobody can be asked, as the authority's certificate is being renewed, that is said, and all is begun anew."""
        while not self._end.is_set():
            try:
                with self._chosen.open() as storage:
                    self._look_after(storage)
            except GanetiError as error:
                self.problem = error.message
                self._end.wait(STEP)

    def _look_after(self, storage: Storage) -> None:
        """Look at once when the follower has caught up, and every few seconds whatever it does.

        Whoever was replaced mostly learns it by a write that is refused, and the follower waits for minutes then.
        """
        due, tended = 0.0, False
        while not self._end.wait(STEP if tended else _SOON):
            follows = self._follower.status.state == "following"
            if time.monotonic() < due and not follows:
                continue
            self.replaced = self._is_replaced(storage)
            self.problem = None if self.replaced else "; ".join(self._tend(storage, follows)) or None
            due, tended = time.monotonic() + STEP, tended or follows

    def _is_replaced(self, storage: Storage) -> bool:
        return resting(self._chosen) is not None or replaced(self._chosen, storage, self._mine) is not None

    def _tend(self, storage: Storage, follows: bool) -> t.Iterator[str]:
        """Hold the claim, and where the follower *follows* look after what others hold; what is wrong, in words."""
        try:
            self.replaced = storage.claim(self._mine) != self._mine  # as somebody has claimed anew for this very node
            if self.replaced or not follows:
                return
            yield from self._finish(storage)
            problem = storage.copies.tend(self._keep) if storage.copies else None
            if problem:
                yield problem
        except StorageFenced:
            self.replaced = True
        except GanetiError as error:
            yield error.message

    def _finish(self, storage: Storage) -> t.Iterator[str]:
        """Write the archived jobs where the failover has not; what is wrong with that, in words. Whoever else is at it is let be."""
        try:
            promote.archive(storage, self._chosen.directory, wait=False)
        except (GanetiError, OSError) as error:
            yield f"archived jobs could not be written to this new master's files: {error}"

    def _keep(self, jobs: t.Mapping[int, Json]) -> t.FrozenSet[int]:
        return taken_over.keep(self._chosen.directory, jobs)

    def end(self) -> None:
        """End soon; what it does is let be finished."""
        self._end.set()
        self.join(STEP)
