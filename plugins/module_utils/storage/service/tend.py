# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service does beside following: it looks after the standbys, and whether this node is the master still."""

from __future__ import annotations

import threading
import time
import typing as t

from ..._errors import GanetiError, StorageFenced
from ..drivers.epochs import Claim
from ..drivers.interface import Storage
from . import promote
from .follow import Follower
from .mastership import replaced, resting
from .settings import Settings

STEP = 5.0
"""Seconds between two looks at the standbys."""
_UNDER_WAY = ("starting", "catching up")
"""States of the follower in which there is nothing to be looked after yet; it leaves them by itself."""


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
        """Looks also while the follower waits, as one that is refused does for minutes: it may be refused because this node was replaced."""
        with self._chosen.open() as storage:
            pause = 0.1
            while not self._end.wait(pause):
                state = self._follower.status.state
                if state in _UNDER_WAY:
                    continue
                # Also where the follower waits: whoever was replaced mostly learns it by a write that is refused, and waits for good then.
                self.replaced = self._is_replaced(storage)
                self.problem = None if self.replaced else "; ".join(self._tend(storage, state == "following")) or None
                pause = STEP

    def _is_replaced(self, storage: Storage) -> bool:
        return resting(self._chosen) is not None or replaced(self._chosen, storage, self._mine) is not None

    def _tend(self, storage: Storage, follows: bool) -> t.Iterator[str]:
        """Hold the claim, and where the follower *follows* look after what others hold; what is wrong, in words."""
        try:
            self.replaced = storage.claim(self._mine) != self._mine  # as somebody has claimed anew for this very node
            if self.replaced or not follows:
                return
            yield from self._finish(storage)
            problem = storage.copies.tend() if storage.copies else None
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

    def end(self) -> None:
        """End soon; what it does is let be finished."""
        self._end.set()
        self.join(STEP)
